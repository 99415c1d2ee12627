"""What every trace cost: as recorded, or from tokens, or from text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..backends import BackendSpec, Price, Usage, cost_usd
from .errors import TraceError
from .rows import Trace, shown

CountTokens = Callable[[str], int]


def price_traces(
    traces: Iterable[Trace],
    *,
    specs: Mapping[str, BackendSpec] | None = None,
    count_tokens: CountTokens | None = None,
) -> tuple[list[Trace], list[str]]:
    """Returns the traces, all with `cost_usd`, and sentences on how it was obtained where it was not recorded.

    A recorded cost stays. Else recorded tokens are priced by the backend's spec; else the tokens of
    the query and the response are counted. Reasoning tokens count as part of the output, unless
    there are more of them than of output: then the output was recorded without them.

    Raises:
        TraceError: the cost of a row cannot be had in any of these ways.
    """
    prices = {name: spec.price for name, spec in (specs or {}).items()}
    counted_texts: dict[str, int] = {}
    priced: list[Trace] = []
    n_rows: Counter[str] = Counter()
    n_from_tokens: Counter[str] = Counter()
    n_counted: Counter[str] = Counter()
    n_unknown: Counter[str] = Counter()
    for trace in traces:
        n_rows[trace.backend] += 1
        trace = _with_reasoning(trace)
        if trace.cost_usd is not None:
            priced.append(trace)
            continue
        price = prices.get(trace.backend)
        is_recorded = trace.input_tokens is not None and trace.output_tokens is not None
        usage = _usage_of(trace, count_tokens, counted_texts)
        if price is None or usage is None:
            n_unknown[trace.backend] += 1
            continue
        (n_from_tokens if is_recorded else n_counted)[trace.backend] += 1
        priced.append(replace(trace, cost_usd=cost_usd(usage, price)))
    if n_unknown:
        backend = min(n_unknown)
        raise TraceError(_missing_cost(backend, n_unknown[backend], n_rows[backend], prices, count_tokens))
    return priced, _notes(n_from_tokens, n_counted)


def _with_reasoning(trace: Trace) -> Trace:
    """Returns the trace with its reasoning counted as part of the output, if it was recorded without."""
    if trace.output_tokens is None or (trace.reasoning_tokens or 0) <= trace.output_tokens:
        return trace
    return replace(trace, output_tokens=trace.output_tokens + (trace.reasoning_tokens or 0))


def _usage_of(trace: Trace, count_tokens: CountTokens | None, counted_texts: dict[str, int]) -> Usage | None:
    """Returns the tokens to pay for, as recorded or else as counted; None where they cannot be had."""
    input_tokens, output_tokens = trace.input_tokens, trace.output_tokens
    reasoning_tokens = trace.reasoning_tokens or 0
    if input_tokens is None and count_tokens is not None:
        if trace.query not in counted_texts:
            counted_texts[trace.query] = count_tokens(trace.query)
        input_tokens = counted_texts[trace.query]
    if output_tokens is None and count_tokens is not None and trace.response is not None:
        output_tokens = count_tokens(trace.response) + reasoning_tokens
    if input_tokens is None or output_tokens is None:
        return None
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, reasoning_tokens=reasoning_tokens)


def _missing_cost(
    backend: str,
    n_unknown: int,
    n_rows: int,
    prices: Mapping[str, Price | None],
    count_tokens: CountTokens | None,
) -> str:
    """Returns the sentence that says what to add for one backend."""
    what = "input_tokens and output_tokens" if count_tokens is None else "output_tokens or response"
    if prices.get(backend) is not None:
        remedy = f"add to the rows cost_usd, or {what}"
    else:
        remedy = f"add to the rows cost_usd, or add backends.{backend}.price to models.yaml and to the rows {what}"
    return f"backend {shown(backend)}: the cost of {n_unknown} of its {n_rows} rows is not known; {remedy}"


def _notes(n_from_tokens: Counter[str], n_counted: Counter[str]) -> list[str]:
    notes = []
    if n_from_tokens:
        rows = f"{n_from_tokens.total()} rows ({', '.join(sorted(n_from_tokens))})"
        notes.append(f"Cost computed from the recorded tokens and the configured price: {rows}.")
    if n_counted:
        rows = f"{n_counted.total()} rows ({', '.join(sorted(n_counted))})"
        notes.append(
            f"Cost estimated by counting tokens of the text, reasoning that was not recorded left out: {rows}."
        )
    return notes
