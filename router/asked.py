"""What a call of the SDK asks for, read the same way by every method of the router that takes a query."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..backends import InvalidRequest, Message, Query
from .policy import NO_WISHES, WISH_NAMES, Wishes, read_wishes

_Given = ParamSpec("_Given")
_Owner = TypeVar("_Owner")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query, and how its caller wants it to be routed."""

    query: Query
    policy: str | None  # None: the default one
    wishes: Wishes


def read_asked(
    text: str | None = None,
    *,
    messages: Sequence[Message] | None = None,
    policy: str | None = None,
    wishes: Wishes | Mapping[str, Any] = NO_WISHES,
    **params: Any,
) -> Asked:
    """Returns what is asked for. `params` are wishes, such as `max_cost_usd`, which go before those in `wishes`, and
    fields of a chat completion request, such as `max_tokens`.

    Raises:
        InvalidRequest: both or neither of text and messages are given, a message is malformed, `n` is not 1, or `model`
            or `stream` is given, which would be lost.
        ConfigError: an unknown wish or a value of the wrong kind.
    """
    if not isinstance(wishes, Wishes):
        wishes = read_wishes(wishes, where="wishes")
    for name, instead in _INSTEAD.items():
        if params.get(name):
            raise InvalidRequest(f"{name}: {instead}")
    # No field of a chat completion request has one of these names: passed on, such a wish would be lost.
    wished = {name: params.pop(name) for name in WISH_NAMES if name in params}
    wishes = read_wishes(wished, where="wishes").over(wishes)
    return Asked(query=make_query(text, messages, params), policy=policy, wishes=wishes)


_INSTEAD = {
    "model": "is the router's to choose; expected policy=..., which takes the name of a policy or a backend",
    "stream": "expected a call of `stream` or `astream`",
}


def _reading(
    read: Callable[_Given, Asked],
) -> Callable[[Callable[[_Owner, Asked], _Result]], Callable[Concatenate[_Owner, _Given], _Result]]:
    """Returns the decorator that gives a method the parameters of `read`, and the method what `read` returns."""
    parameters = inspect.signature(read).parameters.values()

    def decorate(method: Callable[[_Owner, Asked], _Result]) -> Callable[Concatenate[_Owner, _Given], _Result]:
        @functools.wraps(method)
        def called(owner: _Owner, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            return method(owner, read(*args, **kwargs))

        own = inspect.signature(method)
        owner = next(iter(own.parameters.values()))
        called.__signature__ = own.replace(parameters=[owner, *parameters])  # type: ignore[attr-defined]  # for `help`
        return called

    return decorate


takes_query = _reading(read_asked)


def make_query(
    text: str | None, messages: Sequence[Message] | None, params: Mapping[str, Any], *, id: str = ""
) -> Query:
    """Returns the query of a call of the SDK.

    Raises:
        InvalidRequest: both or neither of text and messages are given, a message is malformed, or `n` is not 1.
    """
    if params.get("n") not in (None, 1):
        raise InvalidRequest("n: expected 1; there is one answer to a routed query")
    if (text is None) == (messages is None):
        raise InvalidRequest("give either a text or messages=[...]")
    if messages is None:
        messages = ({"role": "user", "content": text},)
    return Query.from_messages(messages, params=params, id=id)
