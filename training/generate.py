"""Makes demonstration traces: questions with computed answers, put to four made-up backends.

    python -m penstock.training.generate --n 600 --seed 0 --out traces.jsonl

Right and wrong answers come from really working the questions out, with slips in the wrong ones.
How often each backend slips, what it costs and how long it takes is made up.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..backends import PenstockError, Price, Usage, cost_usd
from .errors import TraceError
from .questions import KINDS, LEVELS, Question, make_question
from .questions.solving import Solution
from .rows import Trace
from .split import normalised
from .traces import write_traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Imitation:
    """One made-up backend; ability and aptitude are in levels of difficulty."""

    ability: float
    price: Price
    base_latency_s: float
    tokens_per_s: float
    reasoning_tokens: int = 0  # at level 1; each level takes 1.6 times as many
    logprob_right: float | None = None  # mean log-probability of a token of a right answer; None: not told
    logprob_wrong: float | None = None
    is_terse: bool = False
    aptitude: Mapping[str, float] = field(default_factory=dict)  # by kind of question


_LRM_PRICE = Price(usd_per_1m_input=1.10, usd_per_1m_output=4.40)
IMITATIONS: Mapping[str, Imitation] = {
    "small": Imitation(
        ability=2.7,
        price=Price(usd_per_1m_input=0.04, usd_per_1m_output=0.10),
        base_latency_s=0.15,
        tokens_per_s=140,
        logprob_right=-0.10,
        logprob_wrong=-0.24,
        is_terse=True,
        aptitude={"strings": -0.9, "code": -0.5, "units": 0.7, "word problem": 0.4},
    ),
    "mid": Imitation(
        ability=3.8,
        price=Price(usd_per_1m_input=0.40, usd_per_1m_output=1.60),
        base_latency_s=0.4,
        tokens_per_s=80,
        logprob_right=-0.06,
        logprob_wrong=-0.13,
        aptitude={"strings": -0.7, "dates": -0.5, "word problem": 0.6, "code": 0.3},
    ),
    "lrm@low": Imitation(
        ability=4.8,
        price=_LRM_PRICE,
        base_latency_s=0.6,
        tokens_per_s=110,
        reasoning_tokens=60,
        aptitude={"strings": -0.3, "logic": 0.5},
    ),
    "lrm@high": Imitation(
        ability=5.8,
        price=_LRM_PRICE,
        base_latency_s=0.6,
        tokens_per_s=110,
        reasoning_tokens=320,
        aptitude={"strings": -0.2, "logic": 0.4},
    ),
}

_HIDDEN_DIFFICULTY = 0.5  # standard deviation of what makes a question hard for every backend, beyond its level
_OWN_LUCK = 0.5  # standard deviation of what makes it hard for one backend alone
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]|\n")


def generate_traces(*, n_queries: int = 600, seed: int = 0) -> list[Trace]:
    """Returns one trace for every query and backend; the first queries do not depend on how many there are."""
    if n_queries < 1:
        raise TraceError(f"{n_queries} queries; expected at least 1")
    traces: list[Trace] = []
    seen: set[str] = set()
    for number in range(n_queries):
        rng = random.Random(f"{seed} {number}")
        question = _new_question(rng, seen)
        hidden = rng.gauss(0, _HIDDEN_DIFFICULTY)
        for name, imitation in IMITATIONS.items():
            margin = imitation.ability + imitation.aptitude.get(question.kind, 0.0) - question.level - hidden
            is_right = margin + rng.gauss(0, _OWN_LUCK) > 0
            traces.append(_answer(rng, question, name, imitation, is_right=is_right, query_id=f"demo-{number:05}"))
    return traces


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.training.generate",
        description="Writes demonstration traces of four made-up backends as JSONL.",
        epilog="example: python -m penstock.training.generate --n 600 --seed 0 --out traces.jsonl",
    )
    parser.add_argument("--n", type=int, default=600, metavar="N", help="number of queries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a name that ends in .jsonl")
    options = parser.parse_args(arguments)
    try:
        traces = generate_traces(n_queries=options.n, seed=options.seed)
        write_traces(traces, options.out)
    except PenstockError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    sys.stdout.write(f"{options.out}: {len(traces)} rows, {options.n} queries at {', '.join(IMITATIONS)}\n")
    return 0


def _new_question(rng: random.Random, seen: set[str]) -> Question:
    while True:
        question = make_question(rng, kind=rng.choice(tuple(KINDS)), level=rng.choice(LEVELS))
        text = normalised(question.text)
        if text not in seen:
            seen.add(text)
            return question


def _answer(
    rng: random.Random, question: Question, name: str, imitation: Imitation, *, is_right: bool, query_id: str
) -> Trace:
    solution = question.right if is_right else rng.choice(question.wrong)
    response = _written(rng, solution, imitation, is_right=is_right)
    n_answer = len(_TOKEN.findall(response))
    n_reasoning = round(imitation.reasoning_tokens * 1.6 ** (question.level - 1) * rng.lognormvariate(0, 0.35))
    usage = Usage(
        input_tokens=len(_TOKEN.findall(question.text)) + 8,
        output_tokens=n_answer + n_reasoning,
        reasoning_tokens=n_reasoning,
    )
    latency_s = imitation.base_latency_s + usage.output_tokens / imitation.tokens_per_s
    return Trace(
        query_id=query_id,
        query=question.text,
        backend=name,
        score=float(is_right),
        cost_usd=round(cost_usd(usage, imitation.price), 10),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        latency_s=round(latency_s * rng.lognormvariate(0, 0.2), 3),
        response=response,
        logprobs=_logprobs(rng, imitation, n_answer, is_right=is_right),
        task=question.kind,
        dataset="demo",
    )


def _written(rng: random.Random, solution: Solution, imitation: Imitation, *, is_right: bool) -> str:
    """Returns the text of an answer; wrong ones hedge more often, and may break off or give up."""
    trouble = rng.random()
    if not is_right and imitation.is_terse and trouble < 0.05:
        return "I'm sorry, I can't work this out."
    if not is_right and imitation.is_terse and trouble < 0.10:
        return "; ".join(solution.steps[: len(solution.steps) // 2 + 1]) + ", so we"
    hedge = rng.choice(("I think ", "Not quite sure, but ")) if rng.random() < (0.06 if is_right else 0.25) else ""
    if imitation.is_terse:
        working = "; ".join(solution.steps[-4:])
        return f"{hedge}{working}. The answer is {solution.answer}."
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(solution.steps, start=1))
    opening = rng.choice(("Let me work through this.", "Step by step:", "Here is how it goes."))
    return f"{opening}\n{numbered}\n\n{hedge}**Answer: {solution.answer}**"


def _logprobs(rng: random.Random, imitation: Imitation, n_tokens: int, *, is_right: bool) -> tuple[float, ...] | None:
    mean = imitation.logprob_right if is_right else imitation.logprob_wrong
    if mean is None:
        return None
    mean *= rng.lognormvariate(0, 0.6)  # so that a single answer does not tell for sure
    return tuple(min(0.0, round(-rng.expovariate(-1 / mean), 3)) for _ in range(n_tokens))


if __name__ == "__main__":
    sys.exit(main())
