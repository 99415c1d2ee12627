"""Questions for the embedded models as prompts that `penstock collect` reads."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from .example import LEVELS
from .questions import TASKS, make_example


def write_prompts(path: Path, *, n: int, n_test: int, seed: int) -> None:
    """Writes `n` questions to learn from and `n_test` marked for test, all different, tasks and levels in turn."""
    rng = random.Random(f"prompts {seed}")
    seen: set[str] = set()
    rows: list[dict[str, object]] = []
    kinds = [(task, level) for level in LEVELS for task in TASKS]
    while len(rows) < n + n_test:
        task, level = kinds[len(rows) % len(kinds)]
        example = make_example(rng, task=task, level=level)
        while example.question in seen:
            example = make_example(rng, task=task, level=rng.choice(LEVELS))
        seen.add(example.question)
        rows.append(
            {
                "query_id": f"{seed}-{len(rows):05}",
                "query": example.question,
                "answer": example.answer,
                "grader": "exact",
                "task": example.task,
                "dataset": f"level {example.level}",
                "split": "train" if len(rows) < n else "test",
            }
        )
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
