"""The three models: their size, how they think, and how long they are trained."""

from __future__ import annotations

from dataclasses import dataclass

from .example import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One of the models. `efforts` maps each effort that it is taught, or "" for the only one, to its share."""

    name: str
    width: int
    layers: int
    heads: int
    hidden: int  # of the feed-forward part
    efforts: dict[str, float]
    level_weights: tuple[float, ...]
    peak_lr: float
    chunks: int  # to train on, of `stream.N_EXAMPLES` examples each

    def thought(self, example: Example, effort: str) -> str:
        """Returns what this model writes between <think> and </think> at this effort, "" for nothing."""
        if self.name == "mid":
            return example.draft
        return {"": "", "low": "", "medium": example.draft, "high": example.steps}[effort]


TIERS = {
    tier.name: tier
    for tier in (
        Tier(
            name="small",
            width=96,
            layers=2,
            heads=3,
            hidden=256,
            efforts={"": 1.0},
            level_weights=(1, 1, 1, 1, 1, 1),
            peak_lr=4e-3,
            chunks=97,
        ),
        Tier(
            name="mid",
            width=128,
            layers=3,
            heads=4,
            hidden=352,
            efforts={"": 1.0},
            level_weights=(1, 1, 1, 1, 1, 1),
            peak_lr=4e-3,
            chunks=80,
        ),
        Tier(
            name="lrm",
            width=192,
            layers=4,
            heads=3,
            hidden=512,
            efforts={"low": 0.2, "medium": 0.2, "high": 0.6},
            level_weights=(1, 1, 1, 1.25, 1.5, 1.75),
            peak_lr=3e-3,
            chunks=200,
        ),
    )
}
TASK_WEIGHTS = {
    "add": 2.0,
    "subtract": 2.0,
    "multiply": 3.0,
    "expression": 2.5,
    "story": 2.5,
    "sort": 2.0,
    "count": 2.0,
    "weekday": 1.5,
    "gcd": 2.0,
    "compare": 1.5,
    "fact": 1.0,
}
