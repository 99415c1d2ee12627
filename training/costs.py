"""What every trace cost: as recorded, or from tokens, or from text."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ..backends import BackendSpec, Usage, cost_usd
from ..classifiers.prior import usual_output_tokens
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
    the query and the response are counted; else, without a response, the output is taken to be as long
    as that of the backend's other rows, or as its tier's usually is. Reasoning tokens count as part of
    the output, unless there are more of them than of output: then the output was recorded without them.

    Raises:
        TraceError: the cost of a row cannot be had in any of these ways.
    """
    specs = specs or {}
    count = None if count_tokens is None else functools.cache(count_tokens)  # queries recur
    traces = [_with_reasoning(trace) for trace in traces]
    tokens = [_tokens_of(trace, count) for trace in traces]
    usual = _usual_output(traces, [output for _, output in tokens], specs)
    priced: list[Trace] = []
    how: dict[str, Counter[str]] = {note: Counter() for note in _NOTES}  # rows by backend
    unknown: Counter[str] = Counter()
    for trace, (input_tokens, output_tokens) in zip(traces, tokens, strict=True):
        if trace.cost_usd is not None:
            priced.append(trace)
            continue
        price = specs[trace.backend].price if trace.backend in specs else None
        if price is None or input_tokens is None or (output_tokens is None and count is None):
            unknown[trace.backend] += 1
            continue
        if trace.input_tokens is not None and trace.output_tokens is not None:
            how[_FROM_TOKENS][trace.backend] += 1
        else:
            how[_GUESSED if output_tokens is None else _COUNTED][trace.backend] += 1
        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=usual[trace.backend] if output_tokens is None else output_tokens,
            reasoning_tokens=trace.reasoning_tokens or 0,
        )
        priced.append(replace(trace, cost_usd=cost_usd(usage, price)))
    if unknown:
        backend = min(unknown)
        n_rows = sum(trace.backend == backend for trace in traces)
        has_price = backend in specs and specs[backend].price is not None
        raise TraceError(_missing_cost(backend, unknown[backend], n_rows, has_price=has_price, can_count=bool(count)))
    return priced, [f"{note}: {rows.total()} rows ({', '.join(sorted(rows))})." for note, rows in how.items() if rows]


_FROM_TOKENS = "Cost computed from the recorded tokens and the configured price"
_COUNTED = "Cost estimated by counting tokens of the text, reasoning that was not recorded left out"
_GUESSED = "Cost guessed, for rows that say neither what was answered nor how long it was"
_NOTES = (_FROM_TOKENS, _COUNTED, _GUESSED)


def _with_reasoning(trace: Trace) -> Trace:
    """Returns the trace with its reasoning counted as part of the output, if it was recorded without."""
    if trace.output_tokens is None or (trace.reasoning_tokens or 0) <= trace.output_tokens:
        return trace
    return replace(trace, output_tokens=trace.output_tokens + (trace.reasoning_tokens or 0))


def _tokens_of(trace: Trace, count: CountTokens | None) -> tuple[int | None, int | None]:
    """Returns the tokens of input and of output, as recorded or else as counted; None where they cannot be had."""
    input_tokens, output_tokens = trace.input_tokens, trace.output_tokens
    if count is not None and trace.cost_usd is None:
        if input_tokens is None:
            input_tokens = count(trace.query)
        if output_tokens is None and trace.response is not None:
            output_tokens = count(trace.response) + (trace.reasoning_tokens or 0)
    return input_tokens, output_tokens


def _usual_output(
    traces: Sequence[Trace], outputs: Sequence[int | None], specs: Mapping[str, BackendSpec]
) -> dict[str, int]:
    """Returns how many tokens of output each backend of models.yaml writes for one answer: on average, else a guess."""
    known: dict[str, list[int]] = {}
    for trace, output in zip(traces, outputs, strict=True):
        if output is not None:
            known.setdefault(trace.backend, []).append(output)
    return {
        name: round(sum(known[name]) / len(known[name]) if name in known else usual_output_tokens(spec))
        for name, spec in specs.items()
    }


def _missing_cost(backend: str, n_unknown: int, n_rows: int, *, has_price: bool, can_count: bool) -> str:
    """Returns the sentence that says what to add for one backend."""
    what = "output_tokens or response" if can_count else "input_tokens and output_tokens"
    if has_price:
        remedy = f"add to the rows cost_usd, or {what}"
    else:
        remedy = f"add to the rows cost_usd, or add backends.{backend}.price to models.yaml and to the rows {what}"
    return f"backend {shown(backend)}: the cost of {n_unknown} of its {n_rows} rows is not known; {remedy}"
