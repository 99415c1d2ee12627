"""Everything that can go wrong with labelled traces, as one tree.

PenstockError
└── TraceError      the traces cannot be read, or cannot be learned from
    └── BadRow      one row is wrong; the only one that `skip_bad_rows` passes over
"""

from __future__ import annotations

from ..backends import PenstockError


class TraceError(PenstockError):
    """Traces are wrong; the text names file, line and column where there are any, and what is allowed."""


class BadRow(TraceError):
    """One row is wrong; its text starts with the column, and whoever knows file and line puts them before it."""
