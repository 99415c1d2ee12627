"""Plots of the report: pygal's SVG with its scripts taken out, coloured by the page's own CSS variables."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pygal  # type: ignore[import-untyped]  # pygal ships no types
from pygal.style import Style  # type: ignore[import-untyped]  # likewise

from .evaluation import FloatArray
from .markup import Markup, escaped, printable
from .svg import finished

# pygal leaves behind a finder of modules of an old kind, about which every later failing import would warn.
sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]

WIDTH, HEIGHT = 860, 480
SMALL_WIDTH, SMALL_HEIGHT = 340, 320
FONT_SIZE = 13

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line, band or cloud of points of a plot; `None` among the points interrupts a line."""

    title: str  # "" leaves it out of the legend
    color: str  # a CSS colour
    points: Sequence[Point | None]
    labels: Sequence[str] = ()  # one for each point, shown beside it where there is room, the first points first
    hints: Sequence[str] = ()  # one for each point, shown on hovering
    sizes: Sequence[float] = ()  # radius of each point
    line_width: float = 0.0  # 0: no line
    dashes: str = ""
    is_band: bool = False  # the points go round an area to be filled
    has_dots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The range of an axis in plot coordinates, with its ticks and title."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


def figure(name: str, series: Sequence[Series], x: Axis, y: Axis, *, caption: str, is_small: bool = False) -> Markup:
    """Returns a figure: inline SVG, legend and caption. `name` is unique in the page, as ids are made from it."""
    colors = tuple(one.color for one in series)
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--text)",
        foreground_strong="var(--text)",
        foreground_subtle="var(--grid)",
        guide_stroke_color="var(--grid)",
        major_guide_stroke_color="var(--grid)",
        guide_stroke_dasharray="2,3",
        font_family="inherit",
        label_font_size=FONT_SIZE,
        major_label_font_size=FONT_SIZE,
        title_font_size=FONT_SIZE + 1,
        opacity=".16",
        stroke_opacity="1",
        stroke_width="inherit",
        transition="0s",
        colors=colors,
        value_colors=("var(--text)",) * len(colors),
    )
    chart = pygal.XY(
        style=style,
        js=(),
        width=SMALL_WIDTH if is_small else WIDTH,
        height=SMALL_HEIGHT if is_small else HEIGHT,
        show_legend=False,
        allow_interruptions=True,
        show_x_guides=True,
        truncate_label=-1,
        x_title=x.title,
        y_title=y.title,
        xrange=(x.low, x.high),
        range=(y.low, y.high),
        margin=8,
        disable_xml_declaration=True,
    )
    chart.uuid = name
    chart.x_labels = [{"label": label, "value": value} for value, label in x.ticks]
    chart.y_labels = [{"label": label, "value": value} for value, label in y.ticks]
    for one in series:
        stroke: dict[str, Any] = {"width": f"{one.line_width}px", "linejoin": "round", "linecap": "round"}
        if one.dashes:
            stroke["dasharray"] = one.dashes
        chart.add(
            one.title or None,
            [_value(one, index) for index in range(len(one.points))],
            stroke=bool(one.line_width) or one.is_band,
            fill=one.is_band,
            show_dots=one.has_dots,
            stroke_style=stroke,
            dots_size=4,
        )
    chart.add_xml_filter(lambda root: finished(root, description=caption))
    svg = chart.render(is_unicode=True)
    legend = "".join(
        f'<li><span class="swatch{_swatch(one)}" style="--color: {one.color}"></span>{escaped(one.title)}</li>'
        for one in series
        if one.title
    )
    return Markup(
        f'<figure class="{"small" if is_small else "wide"}">{svg}<ul class="legend">{legend}</ul>'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def cost_axis(costs: FloatArray) -> tuple[Axis, bool]:
    """Returns the axis that holds all `costs` (US dollars per query), and whether it is logarithmic.

    Logarithmic where the positive costs span more than 10 times; free points are then put at its left edge.
    """
    finite = costs[np.isfinite(costs)]
    positive = finite[finite > 0]
    if len(positive) and positive.max() > 10 * positive.min():
        low, high = math.log10(positive.min()), math.log10(positive.max())
        margin = 0.04 * (high - low)
        low, high = low - (3 * margin if len(positive) < len(finite) else margin), high + margin
        title = "mean cost, US dollars per 1,000 queries (logarithmic)"
        return Axis(title=title, low=low, high=high, ticks=_log_ticks(low, high)), True
    top = float(finite.max(initial=0.0)) or 1e-6
    ticks = [(value, _short_usd(value)) for value in nice_ticks(0.0, 1.05 * top)]
    return Axis(title="mean cost, US dollars per 1,000 queries", low=0.0, high=1.05 * top, ticks=ticks), False


def score_axis(scores: FloatArray, title: str) -> Axis:
    """Returns the axis that holds all `scores` with some room, within [0, 1] where they are."""
    finite = scores[np.isfinite(scores)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = max(0.06 * (high - low), 0.01)
    low, high = max(low - margin, min(low, -0.015)), min(high + margin, max(high, 1.015))
    ticks = nice_ticks(low, high)
    digits = 2 if len(ticks) < 2 or ticks[1] - ticks[0] > 0.0099 else 3
    return Axis(title=title, low=low, high=high, ticks=[(value, f"{value:.{digits}f}") for value in ticks])


def unit_axis(title: str) -> Axis:
    """Returns an axis from 0 to 1."""
    ticks = [(value / 5, f"{value / 5:.1f}") for value in range(6)]
    return Axis(title=title, low=-0.02, high=1.02, ticks=ticks)


def nice_ticks(low: float, high: float, n: int = 6) -> list[float]:
    """Returns round values within [low, high], about `n` of them.

    >>> nice_ticks(0.0, 1.05)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Returns ticks at powers of ten, with 2 and 5 between them where there is room."""
    factors = (1, 2, 5) if high - low < 2.6 else (1, 3) if high - low < 4 else (1,)
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    return [(math.log10(v), _short_usd(v)) for v in values if low <= math.log10(v) <= high]


def _short_usd(cost_usd: float) -> str:
    """Returns the label of a tick, per 1,000 queries, in as few digits as it takes."""
    return f"{float(f'{1000 * cost_usd:.3g}'):,.10f}".rstrip("0").rstrip(".")


def _value(series: Series, index: int) -> dict[str, Any] | None:
    """Returns one point as pygal takes it."""
    point = series.points[index]
    if point is None:
        return None
    value: dict[str, Any] = {"value": point}
    if series.labels:
        value["label"] = printable(series.labels[index])
    if series.hints:
        value["tooltip"] = printable(series.hints[index])
    if series.sizes:
        value["node"] = {"r": round(series.sizes[index], 2)}
    return value


def _swatch(series: Series) -> str:
    """Returns the CSS classes of the mark that stands for a series in the legend."""
    if series.is_band:
        return " band"
    if not series.line_width:
        return " dot"
    return " dashed" if series.dashes else ""
