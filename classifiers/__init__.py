"""Queries and completions to probabilities."""

from .artefact import Manifest, Trained, load_artefact, read_manifest, save_artefact
from .confidence import ConfidenceModel, fit_confidence
from .cost import CostModel, fit_cost
from .encoders import ENCODERS, Encoder, create_encoder
from .errors import ArtefactError, FitError
from .escalation import Escalation, fit_escalation
from .estimates import Estimates
from .features import Features, Featurizer
from .heads import HEADS, Head, Predictor, assign_folds, create_head, fit_with_out_of_fold
from .model import QueryModel
from .neighbours import Neighbour
from .prior import PriorModel
from .signals import SIGNALS, Signal, read_signals, signal_names

__all__ = [
    "ENCODERS",
    "HEADS",
    "SIGNALS",
    "ArtefactError",
    "ConfidenceModel",
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
    "create_encoder",
    "create_head",
    "fit_confidence",
    "fit_cost",
    "fit_escalation",
    "fit_with_out_of_fold",
    "load_artefact",
    "read_manifest",
    "read_signals",
    "save_artefact",
    "signal_names",
]
