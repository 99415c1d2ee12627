"""Offline: traces in, artefact and report out."""

from .dataset import Dataset, build_dataset
from .errors import TraceError
from .evaluate import evaluate
from .evaluation import Confidences, Curve, Evaluation, PolicyOutcome, Trial
from .fit import Fitted, fit
from .onboarding import onboard
from .replay import Replayed, Replayer
from .report import write_report
from .rows import Trace
from .split import Split, split_queries
from .traces import Traces, read_traces, write_traces

__all__ = [
    "Confidences",
    "Curve",
    "Dataset",
    "Evaluation",
    "Fitted",
    "PolicyOutcome",
    "Replayed",
    "Replayer",
    "Split",
    "Trace",
    "TraceError",
    "Traces",
    "Trial",
    "build_dataset",
    "evaluate",
    "fit",
    "onboard",
    "read_traces",
    "split_queries",
    "write_report",
    "write_traces",
]
