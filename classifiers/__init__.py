"""Queries and completions to probabilities."""

from typing import TYPE_CHECKING

from .artefact import Manifest, Trained, check_folder, load_artefact, read_manifest, save_artefact
from .errors import ArtefactError, FitError
from .escalation import Escalation, fit_escalation, no_escalation, unplanned_escalation
from .estimates import Estimates
from .prior import PriorModel
from .question import question_of

if TYPE_CHECKING:
    from .confidence import ConfidenceModel, fit_confidence
    from .contributions import Contribution
    from .cost import CostModel, fit_cost
    from .encoders import ENCODERS, Encoder, create_encoder
    from .features import Features, Featurizer
    from .heads import HEADS, Head, Predictor, assign_folds, create_head, fit_with_out_of_fold
    from .model import QueryModel
    from .neighbours import Neighbour
    from .signals import SIGNALS, Signal, read_signals, signal_names
else:
    # Loaded when they are asked for: with an artefact, that is, but not to route by tier and price.
    _HOMES = {
        "ConfidenceModel": "confidence",
        "fit_confidence": "confidence",
        "Contribution": "contributions",
        "CostModel": "cost",
        "fit_cost": "cost",
        "ENCODERS": "encoders",
        "Encoder": "encoders",
        "create_encoder": "encoders",
        "Features": "features",
        "Featurizer": "features",
        "HEADS": "heads",
        "Head": "heads",
        "Predictor": "heads",
        "assign_folds": "heads",
        "create_head": "heads",
        "fit_with_out_of_fold": "heads",
        "QueryModel": "model",
        "Neighbour": "neighbours",
        "SIGNALS": "signals",
        "Signal": "signals",
        "read_signals": "signals",
        "signal_names": "signals",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = [
    "ENCODERS",
    "HEADS",
    "SIGNALS",
    "ArtefactError",
    "ConfidenceModel",
    "Contribution",
    "CostModel",
    "Encoder",
    "Escalation",
    "Estimates",
    "Features",
    "Featurizer",
    "FitError",
    "Head",
    "Manifest",
    "Neighbour",
    "Predictor",
    "PriorModel",
    "QueryModel",
    "Signal",
    "Trained",
    "assign_folds",
    "check_folder",
    "create_encoder",
    "create_head",
    "fit_confidence",
    "fit_cost",
    "fit_escalation",
    "fit_with_out_of_fold",
    "load_artefact",
    "no_escalation",
    "question_of",
    "read_manifest",
    "read_signals",
    "save_artefact",
    "signal_names",
    "unplanned_escalation",
]
