"""What a key may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..config import Config
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
