"""What requests of every format have in common, read out of a body and its headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ...backends import InvalidRequest, Query
from ...backends.types import make_original
from ..asgi import Headers
from ..headers import WISH_PREFIX, wishes_in
from ..http_error import HttpError
from ..policy import read_wishes
from .format import Format, Request, make_request

# The beginnings of headers that are part of a request, and no secret. W3C Trace Context names the trace that it is in.
_FORWARDED = (b"anthropic-", b"traceparent", b"tracestate")
_TELLING = (WISH_PREFIX, *_FORWARDED)


def read_request(format: Format, body: bytes, headers: Headers, *, trace_id: str) -> Request:
    """Returns the request in a body and its headers; of a wish in both, the body's holds.

    Raises:
        HttpError, InvalidRequest, ConfigError: it is malformed; the text says where.
    """
    given = read_object(body)
    model, is_stream = given.pop("model", None), given.pop("stream", None)
    if model is not None and not isinstance(model, str):
        raise InvalidRequest(f"model: expected the name of a policy or a backend, got {model!r:.80}")
    if is_stream is not None and not isinstance(is_stream, bool):
        raise InvalidRequest(f"stream: expected true or false, got {is_stream!r:.80}")
    telling = [header for header in headers if header[0].startswith(_TELLING)]  # mostly none
    wishes = wishes_in(telling)
    if wished := given.pop("penstock", None):
        wishes = read_wishes(wished, where="penstock").over(wishes)
    reading = format.read(given)
    original = make_original(format=format.name, body=given, headers=_forwarded(telling), unsayable=reading.unsayable)
    query = Query.from_messages(reading.messages, params=reading.params, id=trace_id, original=original)
    return make_request(query=query, model=model, wishes=wishes, is_stream=bool(is_stream))


def read_object(body: bytes) -> dict[str, Any]:
    """Returns the JSON object that a body is.

    Raises:
        HttpError: it is none; the text names the position.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise HttpError(400, "the body is not a JSON object", code="invalid_json")
    return value


def object_in(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Returns the object in a field; an empty one where there is none.

    Raises:
        InvalidRequest: it is something else.
    """
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{field}: expected an object, got {value!r:.80}")
    return value


def list_in(body: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Returns the objects listed in a field; none where it is not there.

    Raises:
        InvalidRequest: it is something else.
    """
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidRequest(f"{field}: expected a list of objects, got {value!r:.80}")
    return value


def _forwarded(headers: Headers) -> dict[str, str]:
    """Returns the headers that go along with a request; lines of one name are joined, as HTTP allows."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(_FORWARDED):
            key, text = name.decode("latin-1"), value.decode("latin-1")
            found[key] = f"{found[key]},{text}" if key in found else text
    return found
