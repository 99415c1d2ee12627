"""The parts of the report that look inside: per backend, per task, by difficulty, and single queries won and lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bootstrap import mean_interval
from .evaluation import Evaluation, FloatArray, IntArray, PolicyOutcome
from .findings import Findings
from .markup import NOTHING, Markup, escaped, excerpt, number, per_cent, table, usd_per_1k, with_interval
from .metrics import mean_cost_usd, mean_score
from .probability_metrics import auroc
from .weighted import TOLERANCE

MAX_TASKS = 60
MAX_EXAMPLES = 10
N_DIFFICULTY_GROUPS = 5


def backends_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns one row for each backend, from the cheapest on."""
    policy = _default_policy(evaluation)
    headers = (
        "backend",
        "answers seen",
        "mean score",
        "estimated",
        "AUROC of estimate",
        "cost, USD / 1k queries",
        "estimated",
        f"sent there by {policy.policy}" if policy else "sent there",
        "score of those sent",
    )
    single = found.single
    order = np.lexsort((-np.nan_to_num(single.mean_score), np.nan_to_num(single.mean_cost_usd, nan=np.inf)))
    chosen = _chosen(evaluation, policy)
    rows = []
    for index in order:
        quality = evaluation.quality[:, index]
        sent = chosen == index
        rows.append(
            (
                evaluation.backends[index],
                f"{int((~np.isnan(quality)).sum()):,}",
                with_interval(mean_interval(quality, families=evaluation.families)),
                number(mean_score(evaluation.estimated_quality[:, index])),
                number(auroc(evaluation.estimated_quality[:, index], quality)),
                usd_per_1k(float(single.mean_cost_usd[index])),
                usd_per_1k(mean_cost_usd(evaluation.estimated_cost_usd[:, index])),
                per_cent(float(sent.mean())) if policy else NOTHING,
                number(mean_score(policy.score[sent])) if policy and sent.any() else NOTHING,
            )
        )
    marked = frozenset(np.flatnonzero(order == single.best).tolist())
    return table(headers, rows, marked=marked)


def tasks_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns one row for each task, the most frequent first."""
    if not any(evaluation.tasks):
        return Markup("<p>The traces name no tasks.</p>")
    policy = _default_policy(evaluation)
    chosen = _chosen(evaluation, policy)
    best = found.single.best
    headers = (
        "task",
        "most sent to",
        "queries",
        "score",
        "always-best's score",
        "difference",
        "cost, USD / 1k queries",
        "always-best's cost",
    )
    tasks = np.array(evaluation.tasks, dtype=np.str_)
    names, counts = np.unique(tasks, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows = []
    for index in order[:MAX_TASKS]:
        rows_of_task = np.flatnonzero(tasks == names[index])
        best_score = evaluation.quality[rows_of_task, best]
        twins = None if evaluation.families is None else evaluation.families[rows_of_task]
        score, cost = (policy.score[rows_of_task], policy.cost_usd[rows_of_task]) if policy else (None, None)
        rows.append(
            (
                str(names[index]) or "(none)",
                _most_frequent(evaluation, chosen[rows_of_task]),
                f"{counts[index]:,}",
                NOTHING if score is None else number(mean_score(score)),
                number(mean_score(best_score)),
                NOTHING if score is None else with_interval(mean_interval(score - best_score, families=twins)),
                NOTHING if cost is None else usd_per_1k(mean_cost_usd(cost)),
                usd_per_1k(mean_cost_usd(evaluation.cost_usd[rows_of_task, best])),
            )
        )
    rest = len(order) - len(rows)
    more = f"<p>{rest} smaller tasks are left out.</p>" if rest > 0 else ""
    return Markup(table(headers, rows, n_text=2) + more)


def difficulty_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns how backends and router did on fifths of the queries, from the easiest by prediction on."""
    known = np.flatnonzero(~np.isnan(evaluation.difficulty))
    if not len(known):
        return Markup("<p>No difficulty was predicted.</p>")
    policy = _default_policy(evaluation)
    single = found.single
    headers = (
        "predicted difficulty",
        "queries",
        "cheapest backend",
        "best backend",
        "any backend",
        "router",
        "router's cost",
    )
    order = known[np.argsort(evaluation.difficulty[known], kind="stable")]
    rows = []
    for group in np.array_split(order, min(N_DIFFICULTY_GROUPS, len(order))):
        low, high = evaluation.difficulty[group[0]], evaluation.difficulty[group[-1]]
        quality = evaluation.quality[group]
        highest = np.where(np.isnan(quality), -np.inf, quality).max(axis=1)
        rows.append(
            (
                f"{number(float(low), 2)} to {number(float(high), 2)}",
                f"{len(group):,}",
                number(mean_score(quality[:, single.cheapest])),
                number(mean_score(quality[:, single.best])),
                number(mean_score(np.where(np.isinf(highest), np.nan, highest))),
                number(mean_score(policy.score[group])) if policy else NOTHING,
                usd_per_1k(mean_cost_usd(policy.cost_usd[group])) if policy else NOTHING,
            )
        )
    return table(headers, rows)


def wins_and_losses(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns how often the default policy did better, as well or worse than always-best, with examples."""
    policy = _default_policy(evaluation)
    if policy is None:
        return Markup("<p>No policy was replayed.</p>")
    best = found.single.best
    best_score, best_cost = evaluation.quality[:, best], evaluation.cost_usd[:, best]
    difference = policy.score - best_score
    saved = best_cost - policy.cost_usd
    known = ~(np.isnan(difference) | np.isnan(saved))
    outcomes = (
        ("better answer", known & (difference > TOLERANCE)),
        ("as good an answer", known & (np.abs(difference) <= TOLERANCE)),
        ("worse answer", known & (difference < -TOLERANCE)),
    )
    n_known = max(int(known.sum()), 1)
    rows = [
        (
            name,
            f"{int(where.sum()):,}",
            per_cent(float(where.sum() / n_known)),
            f"{int((where & (saved > 0)).sum()):,}",
            f"{int((where & (saved <= 0)).sum()):,}",
            usd_per_1k(float(saved[where].mean())) if where.any() else NOTHING,
        )
        for name, where in outcomes
    ]
    headers = ("than always-best", "queries", "share", "cheaper", "not cheaper", "saved, USD / 1k queries")
    parts = [
        f"<p>Policy {escaped(policy.policy)} against {escaped(evaluation.backends[best])} on the same queries.</p>",
        table(headers, rows),
    ]
    won, lost = outcomes[0][1] & (saved > 0), outcomes[2][1]
    promised = _promised(evaluation, policy)
    for title, where, rank in (
        ("Won: a better answer for less money, the largest savings first", won, -saved),
        ("Lost: a worse answer, those the estimates were surest of first", lost, -np.nan_to_num(promised)),
    ):
        chosen = np.flatnonzero(where)
        chosen = chosen[np.argsort(rank[chosen], kind="stable")][:MAX_EXAMPLES]
        parts += [f"<h3>{escaped(title)}</h3>", _examples(evaluation, policy, best, promised, chosen)]
    return Markup("".join(parts))


def _examples(
    evaluation: Evaluation, policy: PolicyOutcome, best: int, promised: FloatArray, queries: IntArray
) -> Markup:
    """Returns the table of some queries."""
    if not len(queries):
        return Markup("<p>There is no such query.</p>")
    headers = (
        "query",
        "task",
        "answered by",
        "estimate",
        "score",
        "always-best's score",
        "cost, USD / 1k",
        "always-best's cost",
    )
    rows = [
        (
            excerpt(evaluation.queries[row]),
            evaluation.tasks[row],
            policy.backend[row],
            number(float(promised[row]), 2),
            number(float(policy.score[row]), 2),
            number(float(evaluation.quality[row, best]), 2),
            usd_per_1k(float(policy.cost_usd[row])),
            usd_per_1k(float(evaluation.cost_usd[row, best])),
        )
        for row in queries.tolist()
    ]
    return table(headers, rows, n_text=3)


def _default_policy(evaluation: Evaluation) -> PolicyOutcome | None:
    """Returns the first policy, which the breakdowns are of."""
    return evaluation.policies[0] if evaluation.policies else None


def _chosen(evaluation: Evaluation, policy: PolicyOutcome | None) -> IntArray:
    """Returns the column of the backend whose answer each query got, -1 for none or an unknown one."""
    columns = {name: column for column, name in enumerate(evaluation.backends)}
    names: Sequence[str] = policy.backend if policy else [""] * len(evaluation.quality)
    return np.array([columns.get(name, -1) for name in names], dtype=np.int64)


def _promised(evaluation: Evaluation, policy: PolicyOutcome) -> FloatArray:
    """Returns the estimated quality of the backend each query was answered by, NaN where there is none."""
    chosen = _chosen(evaluation, policy)
    rows = np.arange(len(chosen))
    return np.where(chosen >= 0, evaluation.estimated_quality[rows, np.maximum(chosen, 0)], np.nan)


def _most_frequent(evaluation: Evaluation, chosen: IntArray) -> str:
    """Returns the backend most of some queries were sent to, with its share."""
    columns, counts = np.unique(chosen[chosen >= 0], return_counts=True)
    if not len(columns):
        return NOTHING
    most = int(counts.argmax())
    return f"{evaluation.backends[int(columns[most])]} {per_cent(float(counts[most] / len(chosen)))}"
