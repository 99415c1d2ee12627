"""Chooses the next token of every row of a batch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidRequest

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = -1e4  # log-probability of what cannot be, a number so that it can be summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How one answer is sampled. At temperature 0 the likeliest token is taken and nothing is drawn."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    repetition_penalty: float = 1.0
    seed: int | None = None


def read_sampling(params: Mapping[str, Any], defaults: Sampling, *, backend: str) -> Sampling:
    """Returns what the caller's fields ask for; the model's own `defaults` fill in what they leave out.

    A temperature given where the model is greedy by default turns on plain sampling, as the APIs do.

    Raises:
        InvalidRequest: a field is of the wrong type or out of range.
    """

    def number(name: str, default: float, low: float, high: float) -> float:
        value = params.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InvalidRequest(f"{name}: expected a number from {low:g} to {high:g}, not {value!r}", backend=backend)
        return float(value)

    seed = params.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise InvalidRequest(f"seed: expected a whole number, not {seed!r}", backend=backend)
    return Sampling(
        temperature=number("temperature", defaults.temperature, 0, 100),
        top_p=number("top_p", defaults.top_p, 0, 1),
        top_k=int(number("top_k", defaults.top_k, 0, 1e9)),
        repetition_penalty=number("repetition_penalty", defaults.repetition_penalty, 0.01, 100),
        seed=seed,
    )


class Sampler:
    """The sampling of one row: its settings, its own random numbers and the tokens it has seen.

    A row draws from its own generator, so that with a seed its answer does not depend on which other
    rows share the batch.
    """

    __slots__ = ("_random", "_seen", "sampling")

    def __init__(self, sampling: Sampling, prompt: Iterable[int]) -> None:
        self.sampling = sampling
        self._random = random.Random(sampling.seed)
        self._seen = set(prompt) if sampling.repetition_penalty != 1 else set()

    def uniform(self) -> float:
        """Returns the row's next random number in [0, 1)."""
        return self._random.random()

    def see(self, token: int) -> None:
        """Notes a chosen token."""
        if self.sampling.repetition_penalty != 1:
            self._seen.add(token)

    def penalise(self, scores: Tensor) -> None:
        """Makes the seen tokens less likely, in place; `scores` is (vocabulary,).

        Reference: Keskar et al. 2019, arXiv:1909.05858, section 4.1, with the division turned into a
        product below zero, as transformers does.
        """
        import torch

        seen = torch.tensor(sorted(self._seen), device=scores.device)
        values = scores[seen]
        penalty = self.sampling.repetition_penalty
        scores[seen] = torch.where(values > 0, values / penalty, values * penalty)


class Choice(NamedTuple):
    """One row's next token, and what the model thought of it: temperature 1, before any penalty or filter."""

    token: int
    logprob: float  # natural logarithm
    entropy: float  # in nats, of the model's distribution
    margin: float  # log-probability of the likeliest token less that of the second


def choose_tokens(logits: Tensor, samplers: Sequence[Sampler]) -> list[Choice]:
    """Returns each row's choice; `logits` is (rows, vocabulary)."""
    import torch

    logits = logits.float()
    scores = logits
    penalised = [row for row, sampler in enumerate(samplers) if sampler.sampling.repetition_penalty != 1]
    if penalised:
        scores = logits.clone()
        for row in penalised:
            samplers[row].penalise(scores[row])
    chosen = scores.argmax(-1)
    drawn = [row for row, sampler in enumerate(samplers) if sampler.sampling.temperature > 0]
    if drawn:
        chosen[drawn] = _draw(scores[drawn], [samplers[row] for row in drawn])
    own = logits.log_softmax(-1).clamp_(min=_LEAST, max=0)  # rounding may pass 0; a token may be ruled out
    entropies = -torch.linalg.vecdot(own.exp(), own)  # without a copy of all products, which may be large
    first, second = own.topk(2).values.unbind(-1)
    numbers = torch.stack([own.gather(-1, chosen[:, None])[:, 0], entropies, first - second])
    choices = [Choice(*each) for each in zip(chosen.tolist(), *numbers.tolist(), strict=True)]
    for sampler, choice in zip(samplers, choices, strict=True):
        sampler.see(choice.token)
    return choices


def _draw(scores: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Returns one token per row, (rows,): temperature, then top-k, then top-p, then the inverse of the distribution."""
    import torch

    def column(values: Iterable[float]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.float32, device=scores.device)[:, None]

    n_tokens = scores.shape[-1]
    temperature = column(sampler.sampling.temperature for sampler in samplers)
    probabilities, order = (scores / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(n_tokens, device=scores.device)
    top_k = column(sampler.sampling.top_k or n_tokens for sampler in samplers)
    probabilities = probabilities.where(rank < top_k, 0.0)
    probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    mass_before = probabilities.cumsum(-1) - probabilities
    is_kept = (mass_before < column(sampler.sampling.top_p for sampler in samplers)) | (rank == 0)
    cumulative = probabilities.where(is_kept, 0.0).cumsum(-1)
    target = column(sampler.uniform() for sampler in samplers) * cumulative[:, -1:]
    place = torch.searchsorted(cumulative, target, right=True)
    place = torch.minimum(place, is_kept.sum(-1, keepdim=True) - 1)  # rounding may reach past the last kept token
    drawn: Tensor = order.gather(-1, place)[:, 0]
    return drawn
