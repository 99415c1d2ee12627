"""The difficulty classifier: from the text of a query to estimates for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .calibration import Calibration
from .contributions import Contribution, ablations
from .cost import CostModel
from .difficulty import difficulty_of, difficulty_of_one
from .errors import ArtefactError
from .estimates import Estimates, Once, make_estimates
from .features import Featurizer, QueryFeatures
from .fused import Fused, fuse
from .heads import Predictor
from .joined import Joined
from .meaning import InWords
from .neighbours import Neighbour, Neighbours
from .ridge import FloatArray
from .sparse import Float32Array
from .terms import KeyArray
from .uncertainty import Uncertainty


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryModel:
    """Everything that was learned about queries, as one frozen value."""

    backends: tuple[str, ...]
    encoder: str  # as `create_encoder` takes it
    encoder_id: str
    surface_mean: Float32Array
    surface_scale: Float32Array
    common_words: KeyArray
    term_keys: KeyArray
    term_idf: Float32Array
    classifier: str  # the head that was chosen
    quality: Predictor
    calibration: Calibration
    ability: FloatArray  # (n_backends,) in logits, see `difficulty_of`
    mean_quality: FloatArray  # (n_backends,) over the training queries
    cost: CostModel
    neighbours: Neighbours
    uncertainty: Uncertainty
    _featurizer: Featurizer = field(init=False, repr=False, compare=False)
    _fused: Fused = field(init=False, repr=False, compare=False)
    _mean_ability: float = field(init=False, repr=False, compare=False)
    _tails: FloatArray = field(init=False, repr=False, compare=False)  # (2, n_backends) of cost and latency

    def __post_init__(self) -> None:
        featurizer = Featurizer(
            encoder=self.encoder,
            surface_mean_=self.surface_mean,
            surface_scale_=self.surface_scale,
            common_words_=self.common_words,
            term_keys_=self.term_keys,
            term_idf_=self.term_idf,
        )
        if featurizer.encoder_id != self.encoder_id:
            raise ArtefactError(
                f"trained with encoder {self.encoder_id}, but {self.encoder!r} is now {featurizer.encoder_id};"
                " train again"
            )
        fused, (quality, cost) = fuse(self.quality, self.cost, n_dense=featurizer.n_dense, n_terms=len(self.term_keys))
        object.__setattr__(self, "_featurizer", featurizer)
        object.__setattr__(self, "_fused", fused)
        object.__setattr__(self, "quality", quality)
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "_mean_ability", float(self.ability.mean()))
        object.__setattr__(self, "_tails", self.cost.tails())

    @property
    def joined(self) -> dict[str, int]:
        """The backends that joined later, and the graded queries that each was placed by."""
        found = {}
        names, predictor = list(self.backends), self.quality
        while isinstance(predictor, Joined):
            found[names.pop()] = predictor.n_labels
            predictor = predictor.others
        return found

    def estimate(self, text: str) -> Estimates:
        """Returns the estimates for one query."""
        query = self._read(text)
        quality = self.calibration.apply(self.quality.predict_one(query))
        expected = self.cost.predict_one(query)
        return make_estimates(
            backends=self.backends,
            quality=quality,
            cost_usd=expected[0],
            output_tokens=expected[1],
            latency_s=expected[2],
            difficulty=difficulty_of_one(quality.tolist(), self._mean_ability),
            input_tokens=query.n_tokens,
            source="trained",
            mean_quality=self.mean_quality,
            tails=self._tails,
            how_familiar=Once(partial(self._familiarity, query.dense[: query.embedding_dim])),
        )

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns the estimates for many queries, faster than one by one."""
        features, n_tokens = self._featurizer.transform_and_count(texts)
        quality = self.calibration.apply(self.quality.predict(features))
        difficulty = difficulty_of(quality, self.ability)
        expected = self.cost.predict(features)
        familiarity = self.neighbours.familiarity(features.embedding)
        return [
            Estimates(
                backends=self.backends,
                quality=quality[row],
                cost_usd=expected[row, 0],
                output_tokens=expected[row, 1],
                latency_s=expected[row, 2],
                difficulty=float(difficulty[row]),
                input_tokens=n_tokens[row],
                source="trained",
                mean_quality=self.mean_quality,
                tails=self._tails,
                how_familiar=partial(float, familiarity[row]),
            )
            for row in range(len(texts))
        ]

    def contributions(self, text: str) -> list[Contribution]:
        """Returns what each surface feature, the words, and each head of a blend adds to the estimates of one query.

        Each is told by leaving it alone out, so that they need not sum to anything.
        """
        query = self._featurizer.transform_one(text)
        whole = self.calibration.apply(self.quality.predict_one(query))
        return [
            Contribution(kind=kind, name=name, quality=whole - self.calibration.apply(predictor.predict_one(rest)))
            for kind, name, predictor, rest in ablations(self.quality, query)
        ]

    def standard_error(self, text: str) -> FloatArray:
        """Returns how sure the estimated quality of each backend is, (n_backends,): one standard error of it."""
        query = self._featurizer.transform_one(text)
        return self.uncertainty.standard_error(
            self.calibration.apply(self.quality.predict_one(query)),
            self.neighbours.similarity(query.dense[: query.embedding_dim]),
            np.isfinite(self.neighbours.quality).astype(float),
        )

    def _familiarity(self, embedding: Float32Array) -> float:
        return float(self.neighbours.familiarity(embedding[None])[0])

    def _read(self, text: str) -> QueryFeatures:
        query = self._featurizer.transform_one(text)
        self._fused.read(query)
        return query

    def count_tokens(self, text: str) -> int:
        """Returns the tokens of a text, as estimates have them in `input_tokens`."""
        return self._featurizer.count_tokens(text)

    def read_words(self, question: str, text: str) -> InWords | None:
        """Returns what an answer to a question says in words, None where it says nothing."""
        return self._featurizer.read_words(question, [text])[0]

    def nearest(self, text: str, *, n: int = 5) -> list[Neighbour]:
        """Returns the training queries most like this one."""
        query = self._featurizer.transform_one(text)
        return self.neighbours.nearest(query.dense[: query.embedding_dim], n=n)
