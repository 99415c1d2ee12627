"""Questions for the embedded models as prompts that `penstock collect` reads."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from .example import LEVELS
from .questions import TASKS, make_example

MIXES = {"easy": (6, 5, 4, 3, 2, 1), "even": (1, 1, 1, 1, 1, 1)}  # how often each level is asked


def write_prompts(path: Path, *, n: int, n_test: int, mix: str, seed: int) -> None:
    """Writes `n` questions to learn from and among them `n_test` marked for test, all different, the tasks in turn.

    The levels come as often as `MIXES` says: "easy" is like the traffic of most applications, in which the easier
    questions are the more frequent ones.
    """
    rng = random.Random(f"prompts {seed}")
    seen: set[str] = set()
    rows: list[dict[str, object]] = []
    tasks = list(TASKS)
    while len(rows) < n + n_test:
        level = rng.choices(LEVELS, weights=MIXES[mix])[0]
        example = make_example(rng, task=tasks[len(rows) % len(tasks)], level=level)
        if example.question in seen:
            continue
        seen.add(example.question)
        rows.append(
            {
                "query_id": f"{seed}-{len(rows):05}",
                "query": example.question,
                "answer": example.answer,
                "grader": "exact",
                "task": example.task,
                "dataset": f"level {example.level}",
                "split": "test" if _is_turn(len(rows), n_test, n + n_test) else "train",
            }
        )
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _is_turn(place: int, n_marked: int, n: int) -> bool:
    """Returns whether this place of `n` is one of the `n_marked` that are spread evenly among them."""
    return (place + 1) * n_marked // n > place * n_marked // n
