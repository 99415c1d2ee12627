"""What came of asking each backend, counted."""

from __future__ import annotations

from dataclasses import dataclass, field

_REASONS_KEPT = 3


@dataclass(slots=True, kw_only=True)
class Tally:
    """One backend's part of a run. Every wanted answer is counted once: asked, skipped, failed or left."""

    backend: str
    n_asked: int = 0  # answered in this run
    n_skipped: int = 0  # answered before
    n_failed: int = 0  # not answered after all retries
    n_left: int = 0  # not asked: the money was spent, or the run ended
    n_ungraded: int = 0  # of those answered: written without a score
    n_estimated: int = 0  # of those asked: the tokens were not told but guessed from the text
    n_retries: int = 0
    cost_usd: float = 0.0  # of this run's answers
    n_scores: int = 0
    sum_of_scores: float = 0.0
    reasons: list[str] = field(default_factory=list)  # of the first few failures
    given_up: str = ""  # why it is asked no more

    @property
    def mean_score(self) -> float | None:
        """The mean of all scores, earlier runs' included; None where there is none."""
        return self.sum_of_scores / self.n_scores if self.n_scores else None

    def score(self, score: float) -> None:
        """Counts a score."""
        self.n_scores += 1
        self.sum_of_scores += score

    def note(self, reason: str) -> None:
        """Keeps why something failed, unless there are enough reasons already."""
        if len(self.reasons) < _REASONS_KEPT and reason not in self.reasons:
            self.reasons.append(reason)

    def as_dict(self) -> dict[str, object]:
        """Returns the figures for a program."""
        return {
            "backend": self.backend,
            "asked": self.n_asked,
            "skipped": self.n_skipped,
            "failed": self.n_failed,
            "left": self.n_left,
            "ungraded": self.n_ungraded,
            "retries": self.n_retries,
            "mean_score": self.mean_score,
            "cost_usd": self.cost_usd,
            "reasons": self.reasons,
            "given_up": self.given_up,
        }
