"""What agreement on meaning is worth where no final answer can be read off: real answers, their endings hidden.

    python benchmarks/meaning.py [SET ...] [--data ../shared/data] [--out table.md]

Of every answer, what stands from its final answer on is taken away, so that answers are compared in words alone. Trains
on train and validation and reports on test, default settings. `closed` is the share of the gap between hull and oracle
that the cascade closes: with answers whole, hidden, and hidden with nothing compared. `AUROC` tells, of pairs of hidden
answers of test queries, one right at least, how well likeness says that both are; `power` is what training told of it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from confidence import closed
from tables import print_table

from penstock.classifiers import Trained
from penstock.classifiers.final_answer import answer_span
from penstock.classifiers.meaning import likeness
from penstock.training import Dataset, Trace, build_dataset, fit, read_traces, split_queries
from penstock.training.dataset import RIGHT
from penstock.training.probability_metrics import auroc

SETS = ("gsm_9", "math_l5", "routellm_gsm8k")
HEADER = "| set | whole | hidden | hidden, nothing compared | AUROC | power |\n|---|---|---|---|---|---|"
ENDING = "\nThat settles it."


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> list[str]:
    """Returns the row of one set."""
    traces = read_traces([path])
    whole, hidden = build_dataset(traces), build_dataset([without_ending(trace) for trace in traces.rows])
    split = split_queries(whole, seed=seed)
    known, unknown = fit(whole, split, seed=seed).trained, fit(hidden, split, seed=seed).trained
    escalation = unknown.escalation
    alone = replace(unknown, escalation=replace(escalation, meaning=None, comparable=0.0))
    cells = [closed(known, whole.take(split.test))]
    cells += [closed(trained, hidden.take(split.test)) for trained in (unknown, alone)]
    power = "-" if escalation.meaning is None else f"{escalation.meaning.power:.3f}"
    return [f"| {name} | {' | '.join(cells)} | {told(unknown, hidden.take(split.test))} | {power} |"]


def without_ending(trace: Trace) -> Trace:
    """Returns the trace with its answer cut off where the final answer begins."""
    span = answer_span(trace.response or "")
    if trace.response is None or span is None:
        return trace
    return replace(trace, response=trace.response[: span[0]].rstrip() + ENDING)


def told(trained: Trained, test: Dataset) -> str:
    """Returns the AUROC of likeness for pairs both right against pairs of which one is."""
    meaning = trained.escalation.meaning
    if meaning is None:
        return "-"
    odds, is_same = [], []
    for row, question in enumerate(test.texts):
        said = []
        for column in range(test.n_backends):
            completion = test.completion(row, column)
            words = trained.model.read_words(question, completion.text) if completion is not None else None
            if words is not None:
                said.append((words, test.completion_score(row, column) >= RIGHT))
        for (one, is_right), (other, is_other_right) in combinations(said, 2):
            if is_right or is_other_right:
                odds.append(float(meaning.log_odds(likeness(one, other))))
                is_same.append(float(is_right and is_other_right))
    return f"{auroc(np.array(odds), np.array(is_same)):.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
