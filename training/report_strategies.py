"""The parts of the report that compare strategies: table, cost-quality plot, policies, trials."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .bootstrap import Interval, mean_interval, paired_bootstrap, point_bounds
from .curves import MEAN_SCORE
from .evaluation import Evaluation, FloatArray, IntArray, PolicyOutcome
from .findings import Findings, Strategy, curve_means, relative_cost
from .markup import (
    NOTHING,
    Markup,
    escaped,
    number,
    per_cent,
    per_cent_with_interval,
    table,
    usd_per_1k,
    with_interval,
)
from .metrics import mean_cost_usd, mean_score
from .plots import Axis, Point, Series, cost_axis, figure, score_axis
from .weighted import weighted_apgr, weighted_cpt

MAX_BACKENDS_WITH_BOUNDS = 12  # the bars of more would hide the plot
MAX_POINTS_WITH_DOTS = 40
MAX_ORACLE_POINTS = 80
DENSE_POINTS = 200  # of a line on a logarithmic axis


def comparison_table(found: Findings) -> Markup:
    """Returns the table of the router against what it must beat."""
    headers = (
        "strategy",
        "mean score within always-best's cost",
        "mean cost of that, USD / 1k queries",
        "AIQ",
        "gap closed",
        "saving at best",
    )
    rows = [
        (
            strategy.name,
            with_interval(strategy.score),
            usd_per_1k(strategy.cost_usd),
            NOTHING if strategy.aiq is None else with_interval(strategy.aiq, 4),
            NOTHING if strategy.gap_closed is None else per_cent_with_interval(strategy.gap_closed),
            _saving(strategy),
        )
        for strategy in found.strategies
    ]
    marked = frozenset(row for row, strategy in enumerate(found.strategies) if strategy.is_router)
    return table(headers, rows, marked=marked)


def pair_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns APGR and CPT of the estimates as a ranking of queries, for two backends; nothing for more."""
    if len(evaluation.backends) != 2:
        return Markup("")
    strong = int(np.argmax(np.nan_to_num(found.single.mean_score, nan=-1.0)))
    known = ~np.isnan(evaluation.quality).any(axis=1)
    low, high = evaluation.quality[known, 1 - strong], evaluation.quality[known, strong]
    win = evaluation.estimated_quality[known, strong] - evaluation.estimated_quality[known, 1 - strong]
    if not known.any() or np.isnan(win).any():
        return Markup("")
    families = None if evaluation.families is None else evaluation.families[known]
    rows = [
        _ranking_row("estimates, before any call", win, low, high, families),
        _ranking_row("no query (all tied)", np.zeros(len(win)), low, high, families),
    ]
    intro = f"Calls sent to {evaluation.backends[strong]}, in order of its estimated lead over the other backend."
    headers = ("ranking", "APGR", "CPT(50), % of calls", "CPT(80), % of calls")
    return Markup(f"<h3>Two backends</h3><p>{escaped(intro)}</p>{table(headers, rows)}")


def _ranking_row(
    name: str, ranking: FloatArray, weak: FloatArray, strong: FloatArray, families: IntArray | None
) -> tuple[str, ...]:
    """Returns APGR, CPT(50) and CPT(80) of sending queries to the strong backend in the order of a ranking."""

    def recovered(weights: FloatArray) -> FloatArray:
        return weighted_apgr(ranking, weak, strong, weights)

    def half(weights: FloatArray) -> FloatArray:
        return weighted_cpt(ranking, weak, strong, 50, weights)

    def most(weights: FloatArray) -> FloatArray:
        return weighted_cpt(ranking, weak, strong, 80, weights)

    area, fifty, eighty = (
        paired_bootstrap(statistic, len(ranking), families=families) for statistic in (recovered, half, most)
    )
    return name, with_interval(area), with_interval(fifty, 1), with_interval(eighty, 1)


def cost_quality_figure(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns the plot of every strategy, backend and policy by mean cost and mean score."""
    single = found.single
    curves = [curve_means(curve) for curve in found.swept]
    shown = [policy for policy in evaluation.policies if not np.isnan(mean_score(policy.cost_usd + policy.score))]
    policies = [(mean_cost_usd(policy.cost_usd), mean_score(policy.score)) for policy in shown]
    all_costs = np.concatenate(
        [single.mean_cost_usd, found.oracle[:, 0], *(c for c, _ in curves), [c for c, _ in policies]]
    )
    x, is_log = cost_axis(all_costs)
    series = [
        _line("random mix of single backends", "var(--mix)", found.hull, x, is_log=is_log, dashes="6,5"),
        _line("oracle (hindsight)", "var(--oracle)", _thinned(found.oracle), x, is_log=is_log, dashes="2,4"),
    ]
    all_scores = [single.mean_score, found.oracle[:, 1]]
    for position in range(len(curves) - 1, -1, -1):  # the router last, on top
        curve, (costs, scores) = found.swept[position], curves[position]
        order = np.argsort(costs, kind="stable")
        order = order[~np.isnan(costs[order]) & ~np.isnan(scores[order])]
        points = np.column_stack([costs[order], scores[order]])
        color = "var(--router)" if position == 0 else _color(curve.name, position)
        if position == 0 and len(order) > 1:
            low, high = point_bounds(curve.score, families=evaluation.families)
            all_scores += [low, high]
            series.append(_band(costs[order], low[order], high[order], x, is_log=is_log))
        all_scores.append(scores)
        width = 2.5 if position == 0 else 1.8
        series.append(_line(curve.name, color, points, x, is_log=is_log, width=width))
        if len(order) == 1 or (position == 0 and len(order) <= MAX_POINTS_WITH_DOTS):
            hints = [f"{curve.name}, {curve.labels[index]}" for index in order]
            series.append(
                Series(
                    title="",
                    color=color,
                    points=_placed(points, x, is_log=is_log),
                    hints=hints,
                    sizes=[2.5 if len(order) > 1 else 5.0] * len(order),
                    has_dots=True,
                )
            )
    if policies:
        all_scores.append(np.array([score for _, score in policies]))
        series.append(
            Series(
                title="policies",
                color="var(--policy)",
                points=_placed(np.array(policies), x, is_log=is_log),
                labels=[policy.policy for policy in shown],
                hints=[f"policy {policy.policy}" for policy in shown],
                sizes=[6.0] * len(policies),
                has_dots=True,
            )
        )
    series += _backend_series(evaluation, found, x, is_log=is_log)
    y = score_axis(np.concatenate(all_scores), "mean score")
    caption = (
        "Mean score against mean cost. Lines are swept trade-offs; the shaded band and the bars are 95 % bootstrap "
        "intervals of the score. Up and to the left is better."
    )
    return figure("cost-quality", series, x, y, caption=caption)


def policies_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns what each policy scores, costs and calls."""
    headers = (
        "policy",
        "answers from",
        "mean score",
        "score − always-best's",
        "cost, USD / 1k queries",
        "of always-best's cost",
        "calls a query",
        "escalated",
    )
    best = evaluation.quality[:, found.single.best]
    rows = [
        (
            policy.policy,
            _most_used(policy),
            with_interval(mean_interval(policy.score, families=evaluation.families)),
            with_interval(mean_interval(policy.score - best, families=evaluation.families)),
            usd_per_1k(mean_cost_usd(policy.cost_usd)),
            per_cent(relative_cost(policy.cost_usd, found.single)),
            *_calls(policy.n_calls),
        )
        for policy in evaluation.policies
    ]
    if not rows:
        return Markup("<p>No policy was replayed.</p>")
    return table(headers, rows, n_text=2)


def trials_table(evaluation: Evaluation) -> Markup:
    """Returns what training tried, the chosen one marked."""
    if not evaluation.trials:
        return Markup("<p>No candidates were recorded.</p>")
    rows = [
        (
            trial.name + (" (chosen)" if trial.is_chosen else ""),
            trial.metric,
            trial.note,
            with_interval(Interval(value=trial.value, low=trial.low, high=trial.high), 4),
        )
        for trial in evaluation.trials
    ]
    marked = frozenset(row for row, trial in enumerate(evaluation.trials) if trial.is_chosen)
    return table(("candidate", "measured by", "note", "value"), rows, marked=marked, n_text=3)


def _saving(strategy: Strategy) -> str:
    """Returns the saving at best, and in how many resamples it exists where that is not all."""
    saving = strategy.saving_at_best
    if saving is None:
        return NOTHING
    if np.isnan(saving.value):
        return "never reached"
    if saving.share_defined > 0.995:
        return per_cent_with_interval(saving)
    share = per_cent(saving.share_defined)
    return Markup(f'{per_cent_with_interval(saving)} <span class="bounds">in {share} of resamples</span>')


def _calls(n_calls: IntArray) -> tuple[str, str]:
    """Returns the calls that an answered query took, and the share of these queries that took more than one."""
    answered = n_calls[n_calls > 0]
    if not len(answered):
        return NOTHING, NOTHING
    return number(float(answered.mean()), 2), per_cent(float((answered > 1).mean()))


def _most_used(policy: PolicyOutcome) -> str:
    """Returns the three backends that most answers came from, with their shares, and how many queries got none."""
    answered = np.array([name for name in policy.backend if name], dtype=np.str_)
    names, counts = np.unique(answered, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{names[index]} {per_cent(float(counts[index] / counts.sum()))}" for index in order[:3]]
    shown += [f"{len(order) - 3} more"] if len(order) > 3 else []
    n_refused = len(policy.backend) - len(answered)
    return ", ".join(shown + ([f"refused {n_refused}"] if n_refused else []))


def _backend_series(evaluation: Evaluation, found: Findings, x: Axis, *, is_log: bool) -> list[Series]:
    """Returns the single backends as points, those worth a label first, and the bars of their scores."""
    single = found.single
    known = np.flatnonzero(~np.isnan(single.mean_cost_usd) & ~np.isnan(single.mean_score))
    on_hull = np.isin(np.column_stack([single.mean_cost_usd, single.mean_score])[known], found.hull).all(axis=1)
    order = known[np.lexsort((-single.mean_score[known], ~on_hull))]
    points = _placed(np.column_stack([single.mean_cost_usd, single.mean_score])[order], x, is_log=is_log)
    names = [evaluation.backends[index] for index in order]
    hints = [
        f"{name}: score {single.mean_score[index]:.3f}, {usd_per_1k(float(single.mean_cost_usd[index]))} USD / 1k"
        for name, index in zip(names, order, strict=True)
    ]
    series = []
    if len(order) <= MAX_BACKENDS_WITH_BOUNDS:
        low, high = point_bounds(evaluation.quality[:, order].T, families=evaluation.families)
        bars: list[Point | None] = []
        for (across, _), bottom, top in zip(points, low.tolist(), high.tolist(), strict=True):
            bars += [(across, bottom), (across, top), None]
        series.append(Series(title="", color="var(--backend)", points=bars, line_width=1.2))
    series.append(
        Series(
            title="single backends",
            color="var(--backend)",
            points=points,
            labels=names,
            hints=hints,
            sizes=[4.5] * len(order),
            has_dots=True,
        )
    )
    return series


def _line(
    title: str, color: str, points: FloatArray, x: Axis, *, is_log: bool, width: float = 1.8, dashes: str = ""
) -> Series:
    """Returns a line through mixes of neighbouring points: straight in cost, so bent on a logarithmic axis."""
    if is_log and len(points) > 1:
        parts = np.linspace(0, 1, DENSE_POINTS // len(points) + 2, endpoint=False)[:, np.newaxis]
        dense = [start + parts**3 * (end - start) for start, end in pairwise(points)]  # denser where logarithms bend
        points = np.vstack([*dense, points[-1:]])
    placed = _placed(points, x, is_log=is_log)
    return Series(title=title, color=color, points=placed, line_width=width, dashes=dashes)


def _band(costs: FloatArray, low: FloatArray, high: FloatArray, x: Axis, *, is_log: bool) -> Series:
    """Returns the area between the bounds of the router's scores."""
    around = np.vstack([np.column_stack([costs, low]), np.column_stack([costs, high])[::-1], [[costs[0], low[0]]]])
    return Series(title="95 % interval", color="var(--router)", points=_placed(around, x, is_log=is_log), is_band=True)


def _placed(points: FloatArray, x: Axis, *, is_log: bool) -> list[Point]:
    """Returns (cost, score) points in plot coordinates; on a logarithmic axis what is free goes to the left edge."""
    costs = points[:, 0]
    if is_log:
        across = np.full(len(costs), x.low)
        np.log10(costs, out=across, where=costs > 0)
        costs = np.maximum(across, x.low)
    return list(zip(costs.tolist(), points[:, 1].tolist(), strict=True))


def _thinned(points: FloatArray) -> FloatArray:
    """Returns about eighty of the points, first and last among them."""
    return points[np.unique(np.linspace(0, len(points) - 1, MAX_ORACLE_POINTS).round().astype(np.int64))]


def _color(name: str, position: int) -> str:
    """Returns the colour of a curve that is not the router."""
    return "var(--mean)" if name == MEAN_SCORE else f"var(--other-{1 + position % 3})"
