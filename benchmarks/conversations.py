"""What it is worth to know a conversation's past: ten turns each, with prices of cached input, with and without.

    python benchmarks/conversations.py [LAM ...] [--conversations 40] [--turns 10] [--document 6000]

Generated questions with known answers are asked in turn about one long document, which is read again every time. Every
made-up backend keeps the prompts of a conversation in its cache, as providers do from 1,024 tokens on, and charges a
quarter of the price for what it reads there. *Each request anew* routes as if every request began a conversation; the
bill counts what happens to be in the caches all the same. Quality is the mean score of the recorded answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.backends import BackendSpec, Completion, FakeBackend, Message, Query, Tier, Usage
from penstock.router import Answer, Config, Policy, Pool, Router, Wishes
from penstock.training import Dataset, build_dataset, fit, split_queries
from penstock.training.generate import IMITATIONS, generate_traces

LEAST_CACHED = 1024
CACHED_SHARE = 0.25  # of the price of input
IntArray = NDArray[np.int64]
TIERS: Mapping[str, Tier] = {"small": "small", "mid": "mid", "lrm@low": "lrm", "lrm@high": "lrm"}


class Provider:
    """Answers, with the recorded score in the place of the model's name, and knows what it has read."""

    def __init__(self, name: str, scores: dict[str, float]) -> None:
        self._name = name
        self._scores = scores
        self.read: list[str] = []  # prompts of the conversation, to be cleared between two

    def __call__(self, query: Query) -> Completion:
        """Returns an answer of 300 tokens."""
        prompt = query.text
        shared = max((common(prompt, other) for other in self.read), default=0) // 4
        self.read.append(prompt)
        n_tokens = len(prompt) // 4
        usage = Usage(
            input_tokens=n_tokens,
            cached_input_tokens=min(shared, n_tokens) if shared >= LEAST_CACHED else 0,
            output_tokens=300,
        )
        question = str(query.messages[-1]["content"])
        text = f"{self._name} on {question} " + "because it follows " * 60
        return Completion(text=text, usage=usage, model=f"{self._scores[question]}")


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lams", nargs="*", type=float, default=[20.0, 50.0, 100.0], metavar="LAM")
    parser.add_argument("--conversations", type=int, default=40)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--document", type=int, default=6000, help="tokens of the document")
    options = parser.parse_args()
    dataset = build_dataset(generate_traces(n_queries=2000, seed=0))
    split = split_queries(dataset, seed=0)
    trained = fit(dataset, split).trained
    held_out = dataset.take(split.test)
    order = np.random.default_rng(0).permutation(held_out.n_queries)
    groups = np.resize(order, (options.conversations, options.turns))
    print("| lam | | USD a turn | mean score | score less lam times USD | switches in ten turns | input from caches |")
    print("|---|---|---|---|---|---|---|")
    for lam in options.lams:
        for label, is_known in (("each request anew", False), ("the past known", True)):
            talks = Talks(pool=Pool(specs(), trained), document=options.document, lam=lam, is_known=is_known)
            print(f"| {lam:g} | {label} | {talks.row(held_out, groups)} |", flush=True)
    return 0


def specs() -> dict[str, BackendSpec]:
    """Returns the made-up backends with a price for cached input."""
    found = {}
    for name, made_up in IMITATIONS.items():
        price = replace(made_up.price, usd_per_1m_cached_input=CACHED_SHARE * made_up.price.usd_per_1m_input)
        found[name] = BackendSpec(name=name, type="fake", tier=TIERS[name], price=price)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Talks:
    """One way of routing conversations."""

    pool: Pool
    document: int  # tokens
    lam: float
    is_known: bool

    def row(self, dataset: Dataset, groups: IntArray) -> str:
        """Returns the figures of all conversations, (n_conversations, n_turns) queries of the dataset."""
        providers = {}
        for name in self.pool.backends:
            column = dataset.quality[:, dataset.backends.index(name)]
            providers[name] = Provider(name, dict(zip(dataset.texts, column.tolist(), strict=True)))
        backends = {name: FakeBackend(provider) for name, provider in providers.items()}
        answers: list[list[Answer]] = []
        with Router(self._config(), self.pool, backends=backends) as router:
            for number, group in enumerate(groups):
                for provider in providers.values():
                    provider.read.clear()
                answers.append(self._talk(router, number, [dataset.texts[place] for place in group]))
        every = [answer for one in answers for answer in one]
        usages = [answer.completion.usage for answer in every]
        cost = sum(answer.cost_usd for answer in every) / len(every)
        score = sum(float(answer.completion.model) for answer in every) / len(every)
        switches = sum(a.backend != b.backend for one in answers for a, b in pairwise(one)) / len(every) * 10
        cached = sum(usage.cached_input_tokens for usage in usages) / sum(usage.input_tokens for usage in usages)
        return f"{cost:.5f} | {score:.3f} | {score - self.lam * cost:.3f} | {switches:.1f} | {cached:.2f}"

    def _talk(self, router: Router, number: int, questions: Sequence[str]) -> list[Answer]:
        document = "The river runs past an old stone house, where seven people sell bread. " * (self.document * 4 // 71)
        messages: list[Message] = [
            {"role": "user", "content": f"Conversation {number}. {document}"},
            {"role": "assistant", "content": "I have read it."},
        ]
        answers = []
        for turn, question in enumerate(questions):
            messages.append({"role": "user", "content": question})
            name = f"{number}" if self.is_known else f"{number} {turn}"
            answers.append(router.ask(messages=messages, wishes=Wishes(conversation=name)))
            messages.append({"role": "assistant", "content": answers[-1].text})
        return answers

    def _config(self) -> Config:
        policy = Policy(name="auto", lam=self.lam, max_calls=1)
        return Config(
            path=Path("models.yaml"),
            backends=self.pool.specs,
            policies={"auto": policy},
            default_policy="auto",
            artefact=None,
        )


def common(one: str, other: str) -> int:
    """Returns how many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one.startswith(other[:middle]) else (low, middle - 1)
    return low


if __name__ == "__main__":
    raise SystemExit(main())
