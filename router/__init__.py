"""Decides and runs requests."""

from .answer import Answer, AnswerChunk
from .cascade import Outcome, Step, cascade
from .config import Config, read_config
from .decision import Decision, decide
from .errors import AllBackendsFailed, BackendBusy, NoBackendFree, NoFeasibleBackend, UnknownPolicy
from .objectives import OBJECTIVES, Objective
from .outlook import Outlook, Tried
from .policy import Policy, Wishes
from .pool import Pool
from .reloading import Reloaded
from .router import Router
from .sink import JsonlSink, NullSink, TraceSink
from .trace_log import TraceLog

__all__ = [
    "OBJECTIVES",
    "AllBackendsFailed",
    "Answer",
    "AnswerChunk",
    "BackendBusy",
    "Config",
    "Decision",
    "JsonlSink",
    "NoBackendFree",
    "NoFeasibleBackend",
    "NullSink",
    "Objective",
    "Outcome",
    "Outlook",
    "Policy",
    "Pool",
    "Reloaded",
    "Router",
    "Step",
    "TraceLog",
    "TraceSink",
    "Tried",
    "UnknownPolicy",
    "Wishes",
    "cascade",
    "decide",
    "read_config",
]
