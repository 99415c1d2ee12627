"""What a key may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...backends import PenstockError
from ..config import Config
from ..decision import Decision
from ..errors import NoBackendFree, NoFeasibleBackend
from ..feedback import Comparison, Feedback
from ..formats import Request
from ..http_error import HttpError
from ..policy import higher_floor
from ..rerouting import refuse_rerouting
from .key import ANYONE, Key


def permitted(config: Config, key: Key) -> Config:
    """Returns the configuration with only the policies and backends that a key may name as `model`.

    A key that is held to policies may name a backend only where it is given backends as well.
    """
    if not key.policies and not key.backends:
        return config
    policies = {name: policy for name, policy in config.policies.items() if not key.policies or name in key.policies}
    return replace(
        config,
        policies=policies,
        backends={name: spec for name, spec in config.backends.items() if name in key.backends},
    )


def confined(request: Request, config: Config, key: Key) -> Request:
    """Returns the request within what the key may use: other backends denied, its floor as high as its rule puts it.

    Raises:
        HttpError: the key may not ask for this model.
        InvalidRequest: the request tells the provider to use another one, or another price than the key is charged.
    """
    if key is ANYONE:  # who may do everything
        return request
    request = replace(request, asker=key.id)
    floor = config.floors.of_caller(key.name)
    if floor is not None:
        wishes = request.wishes
        request = replace(request, wishes=replace(wishes, floor=higher_floor(wishes.floor, floor.tier)))
    refuse_rerouting(request.query, why="a key is held to the backends and prices that are configured; leave it out")
    if not key.policies and not key.backends:
        return request
    names, allowed = request.model or config.default_policy, permitted(config, key)
    if names not in allowed.policies and names not in allowed.backends:
        known = ", ".join((*allowed.policies, *allowed.backends)) or "none, for nothing it names is there any more"
        raise HttpError(
            403, f"this key may not ask for {names!r:.80}; expected one of {known}", code="model_not_allowed"
        )
    if not key.backends:
        return request
    others = tuple(name for name in config.backends if name not in key.backends)
    return replace(request, wishes=replace(request.wishes, deny=(*(request.wishes.deny or ()), *others)))


def decision_for(key: Key, decision: Decision) -> dict[str, Any]:
    """Returns a decision as plain JSON values, without the backends that a key is told nothing of."""
    told = decision.as_dict()
    hidden = [name for name in decision.estimates.backends if not key.may_see(name)]
    if not hidden:
        return told
    for part in ("estimates", "flips"):
        told[part] = [row for row in told[part] if row["backend"] not in hidden]
    for part in ("neighbours", "contributions"):
        for row in told[part]:
            row["quality"] = {name: value for name, value in row["quality"].items() if name not in hidden}
    # Those that are about one backend begin with its name.
    told["notes"] = [note for note in told["notes"] if not any(note.startswith(f"{name}: ") for name in hidden)]
    return told


def error_for(key: Key | None, error: PenstockError) -> PenstockError:
    """Returns an error without the backends that a key is told nothing of."""
    if key is None or not isinstance(error, NoFeasibleBackend):
        return error
    excluded = {name: reason for name, reason in error.excluded.items() if key.may_see(name)}
    if isinstance(error, NoBackendFree):
        return NoBackendFree(excluded, retry_after_s=error.retry_after_s)
    return NoFeasibleBackend(excluded)


def check_scored(feedback: Feedback | Comparison, key: Key, *, backend_of: Callable[[str], str | None]) -> None:
    """Returns nothing where the key may score the backends that a feedback is about.

    `backend_of` tells the one whose answer a trace id stands for, None where that is not known.

    Raises:
        HttpError: the key may not use this backend.
    """
    if not key.backends:
        return
    answers = [(feedback.trace_id, feedback.backend)]
    if isinstance(feedback, Comparison):
        answers.append((feedback.other_trace_id, feedback.other_backend))
    for trace_id, named in answers:
        backend = named or backend_of(trace_id)
        if backend is not None and backend not in key.backends:
            words = f"{backend!r:.80}" if named else "the backend whose answer this is"
            known = ", ".join(key.backends)
            raise HttpError(403, f"this key may not score {words}; expected one of {known}", code="model_not_allowed")
