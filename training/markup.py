"""HTML in small pieces: everything that is not already `Markup` is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from .bootstrap import Interval

NOTHING = "–"


class Markup(str):
    """Text that may go into the page as it is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Returns the text with everything that HTML would read as its own made harmless.

    >>> escaped("<script>")
    '&lt;script&gt;'
    """
    return Markup(html.escape(printable(text)))


def safe(text: str) -> Markup:
    """Returns the text as it is where it is `Markup`, else escaped."""
    return text if isinstance(text, Markup) else escaped(text)


def excerpt(text: str, n_characters: int = 200) -> Markup:
    """Returns the beginning of the text on one line, escaped, with an ellipsis where it was cut."""
    line = " ".join(printable(text[: 4 * n_characters]).split())
    return escaped(line if len(line) <= n_characters else line[: n_characters - 1].rstrip() + "…")


def printable(text: str) -> str:
    """Returns the text without control characters and lone surrogates, which no HTML file may hold."""
    kept = "".join(character if character >= " " or character in "\n\t" else " " for character in text)
    return kept.encode("utf-8", "replace").decode("utf-8")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, marked: frozenset[int] = frozenset(), n_text: int = 1
) -> Markup:
    """Returns a table: the first `n_text` columns are text, the others numbers, and rows in `marked` stand out."""
    parts = ['<div class="scroll"><table><thead><tr>']
    parts += [f"<th{_text_class(i, n_text)}>{escaped(header)}</th>" for i, header in enumerate(headers)]
    parts.append("</tr></thead><tbody>")
    for number, row in enumerate(rows):
        parts.append('<tr class="marked">' if number in marked else "<tr>")
        parts += [f"<td{_text_class(i, n_text)}>{safe(cell)}</td>" for i, cell in enumerate(row)]
        parts.append("</tr>")
    parts.append("</tbody></table></div>")
    return Markup("".join(parts))


def paragraphs(sentences: Iterable[str]) -> Markup:
    """Returns each sentence as an entry of a list; nothing for none."""
    entries = "".join(f"<li>{safe(sentence)}</li>" for sentence in sentences)
    return Markup(f"<ul>{entries}</ul>" if entries else "")


def number(value: float, digits: int = 3) -> Markup:
    """Returns a score or share in fixed digits; a dash for NaN, and never a negative zero."""
    if math.isnan(value):
        return Markup(NOTHING)
    return Markup(f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}"))


def per_cent(value: float) -> Markup:
    """Returns a share in whole per cent.

    >>> per_cent(0.283)
    '28\\xa0%'
    """
    return Markup(NOTHING if math.isnan(value) else f"{number(100 * value, 0)}\N{NO-BREAK SPACE}%")


def usd_per_1k(cost_usd: float) -> Markup:
    """Returns a cost per query as US dollars per thousand queries, in three significant digits.

    >>> usd_per_1k(0.0000234), usd_per_1k(0.0123), usd_per_1k(1.5)
    ('0.0234', '12.3', '1,500')
    """
    if math.isnan(cost_usd):
        return Markup(NOTHING)
    thousand = 1000 * cost_usd
    if thousand == 0:
        return Markup("0")
    digits = max(0, 2 - math.floor(math.log10(abs(thousand))))
    return Markup(f"{thousand:,.{min(digits, 8)}f}")


def with_interval(figure: Interval, digits: int = 3) -> Markup:
    """Returns a figure with its bounds."""
    return _with_bounds(number(figure.value, digits), number(figure.low, digits), number(figure.high, digits))


def per_cent_with_interval(figure: Interval) -> Markup:
    """Returns a share in per cent with its bounds."""
    low, high = (number(100 * bound, 0) for bound in (figure.low, figure.high))
    return _with_bounds(per_cent(figure.value), low, high)


def _with_bounds(value: Markup, low: Markup, high: Markup) -> Markup:
    if value == NOTHING or low == NOTHING:
        return value
    return Markup(f'{value} <span class="bounds">[{low}, {high}]</span>')


def _text_class(column: int, n_text: int) -> str:
    return ' class="text"' if column < n_text else ""
