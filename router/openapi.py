"""The OpenAPI description of what the sidecar serves, made from its table of routes and that of formats.

It says what we read ourselves of a request, and leaves room for the rest, which travels on to providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..backends import TIERS
from .formats import FORMATS
from .formats.schemas import Schema
from .policy import WISH_NAMES
from .records import WINNERS

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number", "minimum": 0}
_NAMES: Schema = {"type": "array", "items": _TEXT}
_WISHES: Mapping[str, Schema] = {
    "min_quality": {"type": "number", "minimum": 0, "maximum": 1},
    "allow": _NAMES,
    "deny": _NAMES,
    "effort": _TEXT,
    "budget": {"type": "integer", "minimum": 0},
    "floor": {"enum": list(TIERS)},
    "conversation": _TEXT,
}
_SCORE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_FEEDBACK: Schema = {
    "type": "object",
    "properties": {
        "trace_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "backend": _TEXT,
        "score": _SCORE,
        "thumbs": {"enum": ["up", "down"]},
        "other_trace_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "other_backend": _TEXT,
        "winner": {"enum": list(WINNERS)},
    },
    "required": ["trace_id"],
    "additionalProperties": False,
}
_ANY: Schema = {"type": "object"}
_COUNT: Schema = {"type": "object", "properties": {"input_tokens": {"type": "integer"}}, "required": ["input_tokens"]}
_STATUS: Schema = {"type": "object", "properties": {"status": _TEXT}, "required": ["status"]}

# What a path is for, and the JSON that it gives, None where it gives something else.
_PATHS: Mapping[str, tuple[str, Schema | None]] = {
    "/v1/chat/completions": ("Answers in the format of OpenAI's chat completions", _ANY),
    "/v1/messages": ("Answers in the format of Anthropic's Messages", _ANY),
    "/v1/responses": ("Answers in the format of OpenAI's Responses, without memory", _ANY),
    "/v1/messages/count_tokens": ("Counts the tokens of a Messages request", _COUNT),
    "/v1/models": ("Lists policies and backends", _ANY),
    "/v1/route": ("Tells the decision for a request, and calls nothing", _ANY),
    "/v1/feedback": ("Takes what an answer was worth", _ANY),
    "/healthz": ("Is 200 while the process lives", _STATUS),
    "/readyz": ("Is 200 while requests are taken", _STATUS),
    "/metrics": ("Tells figures in the text format of Prometheus", None),
    "/openapi.json": ("Is this description", _ANY),
}


def openapi(routes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Returns the description of routes, each a path and its method; those of the page are left out."""
    paths: dict[str, Any] = {path: {method.lower(): _operation(path)} for path, method in routes if path in _PATHS}
    paths["/v1/models/{id}"] = {"get": _operation("/v1/models") | {"parameters": [_parameter("id")]}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": "1",  # as in the paths
            "description": "Sends each query to the cheapest model that will get it right.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "wishes": _object({name: _WISHES.get(name, _NUMBER) for name in WISH_NAMES}),
                "error": _object({"error": _object({"message": _TEXT, "type": _TEXT}, required=["message", "type"])}),
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _operation(path: str) -> dict[str, Any]:
    summary, gives = _PATHS[path]
    content: dict[str, Any] = {"text/plain": {"schema": _TEXT}}
    if gives is not None:
        content = {"application/json": {"schema": gives}}
        if path in FORMATS:
            content["text/event-stream"] = {"schema": _TEXT}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "as asked for", "content": content},
            "default": {
                "description": "an error, in the format of the path",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}},
            },
        },
    }
    body = _body(path)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _body(path: str) -> Schema | None:
    """Returns the schema of what is sent to a path; None where nothing is."""
    if path == "/v1/feedback":
        return _FEEDBACK
    like = {"/v1/route": "/v1/chat/completions", "/v1/messages/count_tokens": "/v1/messages"}.get(path, path)
    format = FORMATS.get(like)
    if format is None:
        return None
    ours = {"model": _TEXT, "stream": {"type": "boolean"}, "penstock": {"$ref": "#/components/schemas/wishes"}}
    # Anthropic's clients ask with a limit on output always; counting tokens they do not.
    required = [field for field in format.required if path != f"{like}/count_tokens" or field != "max_tokens"]
    return _object({**ours, **format.fields}, required=required)


def _object(fields: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    return {"type": "object", "properties": dict(fields), "required": list(required)}


def _parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}
