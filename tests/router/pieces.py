"""What the tests of decisions are made of: small values with sensible defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from penstock.backends import BackendSpec, Completion, Price
from penstock.classifiers import Escalation, Estimates
from penstock.router import Outlook

NAMES = ("small", "mid", "lrm", "huge", "wild")


def write_models(folder: Path, text: str, *, name: str = "models.yaml") -> Path:
    """Returns the path of a configuration file with this text."""
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def spec(name: str, **changes: Any) -> BackendSpec:
    """Returns a fake backend's spec."""
    return BackendSpec(**{"name": name, "type": "fake", **changes})


def price(usd_per_1m_input: float, usd_per_1m_output: float) -> Price:
    """Returns a price."""
    return Price(usd_per_1m_input=usd_per_1m_input, usd_per_1m_output=usd_per_1m_output)


def estimates(
    quality: Sequence[float],
    cost_usd: Sequence[float],
    *,
    latency_s: Sequence[float] | None = None,
    backends: Sequence[str] | None = None,
    input_tokens: int = 10,
) -> Estimates:
    """Returns estimates; backends are called small, mid, lrm, ... where no names are given."""
    n = len(quality)
    return Estimates(
        backends=tuple(backends or NAMES[:n]),
        quality=np.array(quality, dtype=np.float64),
        cost_usd=np.array(cost_usd, dtype=np.float64),
        output_tokens=np.full(n, 100.0),
        latency_s=np.array(latency_s or [1.0] * n, dtype=np.float64),
        difficulty=1 - sum(quality) / n,
        input_tokens=input_tokens,
        source="trained",
    )


def outlook(
    quality: Sequence[float],
    cost_usd: Sequence[float],
    *,
    power: float | Sequence[float] = 0.0,
    loading: float = 0.0,
    comparable: float = 0.0,
    max_calls: int = 3,
    budget_usd: float = float("inf"),
) -> Outlook:
    """Returns an outlook on backends whose errors, with a `loading` of 0, have nothing to do with each other."""
    n = len(quality)
    return Outlook(
        backends=NAMES[:n],
        quality=np.array(quality, dtype=np.float64),
        cost_usd=np.array(cost_usd, dtype=np.float64),
        escalation=Escalation(
            loading=np.full(n, loading),
            power=np.full(n, power) if isinstance(power, int | float) else np.array(power, dtype=np.float64),
            collision=np.array([-1.4, 0.0]),
            comparable=comparable,
            overlap=0.0,
        ),
        max_calls=max_calls,
        budget_usd=budget_usd,
    )


def completion(text: str = "42", *, cost_usd: float | None = None) -> Completion:
    """Returns a completion."""
    return Completion(text=text, cost_usd=cost_usd)
