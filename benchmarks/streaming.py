"""How soon held streams are let go, and what giving up saves: learned on train and validation, judged on test.

    python benchmarks/streaming.py [SET ...] [--data ../shared/data] [--out table.md]

Every test query as a streamed request of the policy `utility`, at a few trade-offs. `held`: answers that may still be
replaced when their first piece comes, a query. Of these: `released`, the share that is passed on before its end, after
which share of its characters at the median; `wrongly`, the share that is passed on although the cascade would have
returned another (5 % is allowed); `given up`, the share that is broken off; `was right`, the share that is broken off
and was right (1 % is allowed). `unsaid`: the share of the output tokens of answers given up that was not generated.
`score` and `cost`: of the streamed requests, and in brackets of the same ones not streamed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tables import print_table

from penstock.backends import Completion
from penstock.router import Outcome, Policy, Pool
from penstock.training import Replayer, build_dataset, fit, read_traces, split_queries
from penstock.training.curves import sweep_lams
from penstock.training.dataset import RIGHT
from penstock.training.replay import estimate_matrices

SETS = ("math_l5", "gsm_9", "routellm_gsm8k")
HEADER = (
    "| set | lam | held | released | after | wrongly | given up | was right | unsaid | score | cost |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
N_LAMS = 6  # trade-offs, those of all-cheapest and all-best left out


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, lambda name, path, seed: rows_of(name, path, seed=seed))


def rows_of(name: str, path: Path, *, seed: int) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    replayer = Replayer(Pool({}, fit(dataset, split, seed=seed).trained), dataset.take(split.test))
    lams = sweep_lams(*estimate_matrices(replayer.estimates, replayer.dataset.backends), N_LAMS + 2)[1:-1]
    return [row_of(name, replayer, float(lam)) for lam in lams]


def row_of(name: str, replayer: Replayer, lam: float) -> str:
    """Returns the row of one trade-off."""
    policy, test = Policy(name="auto", lam=lam), replayer.dataset
    whole = {replayed.query: replayed.outcome for replayed in replayer.run(policy)}
    streamed = list(replayer.run_streamed(policy))
    n_held = sum(replayed.n_held for replayed in streamed)
    released, after, n_wrong, n_right, unsaid = 0, [], 0, 0, []
    for replayed in streamed:
        outcome = replayed.outcome
        if replayed.released_after is not None:
            released += 1
            after.append(replayed.released_after / _length(outcome.step.completion))
            n_wrong += whole[replayed.query].step.backend != outcome.step.backend
        for step in outcome.steps:
            if step.is_given_up:
                column = test.backends.index(step.backend)
                n_right += test.completion_score(replayed.query, column) >= RIGHT
                unsaid.append(1 - _length(step.completion) / _length(test.completion(replayed.query, column)))
    score, cost = worth(replayer, [(replayed.query, replayed.outcome) for replayed in streamed])
    whole_score, whole_cost = worth(replayer, list(whole.items()))
    shares = [released, n_wrong, len(unsaid), n_right]
    shown = [f"{share / n_held:.1%}" if n_held else "-" for share in shares]
    figures = [
        f"{n_held / len(streamed):.2f}",
        shown[0],
        f"{np.median(after):.0%}" if after else "-",
        *shown[1:],
        f"{np.mean(unsaid):.0%}" if unsaid else "-",
        f"{score:.4f} ({whole_score:.4f})",
        f"{cost:.6f} ({whole_cost:.6f})",
    ]
    return f"| {name} | {lam:.4g} | " + " | ".join(figures) + " |"


def worth(replayer: Replayer, ended: list[tuple[int, Outcome]]) -> tuple[float, float]:
    """Returns mean score and mean cost."""
    test = replayer.dataset
    scores = [test.quality[query, test.backends.index(outcome.step.backend)] for query, outcome in ended]
    return float(np.mean(scores)), float(np.mean([outcome.cost_usd for _, outcome in ended]))


def _length(completion: Completion | None) -> int:
    """Returns the length of an answer that was asked for, in characters."""
    assert completion is not None
    return len(completion.text)


if __name__ == "__main__":
    raise SystemExit(main())
