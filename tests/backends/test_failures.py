from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    ContextTooLong,
    InvalidRequest,
    RateLimited,
    ServerFailed,
)
from penstock.backends.failures import MAX_MESSAGE_CHARS, failure, read_refusal, retry_after_s
from penstock.backends.hiding import redact


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no", "type": "invalid_request_error", "code": null}}', "no"),
        (b'{"object": "error", "message": "no", "type": "BadRequestError", "param": null, "code": 400}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"type": "error", "error": {"type": "overloaded_error", "message": "no"}}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"detail": [{"loc": ["body"], "msg": "no"}]}', '[{"loc":["body"],"msg":"no"}]'),
        (b'[{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]', "no"),
        (b"<html><style>b {}</style><body><h1>502</h1>\n no gateway</body></html>", "502 no gateway"),
        (b"no", "no"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"null", "null"),
        (b'{"error": {"message": null}}', '{"error":{"message":null}}'),
    ],
)
def test_message_is_found_in_every_known_shape(body: bytes, message: str) -> None:
    assert read_refusal(body).message == message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": {"message": "bad"}}', InvalidRequest),
        (401, b"", AuthenticationFailed),
        (402, b'{"error": {"message": "Insufficient Balance"}}', AuthenticationFailed),
        (403, b"", AuthenticationFailed),
        (404, b'{"error": "model \\"m\\" not found"}', InvalidRequest),
        (408, b"", BackendTimeout),
        (409, b"", ServerFailed),
        (413, b"", InvalidRequest),
        (422, b'{"detail": "bad"}', InvalidRequest),
        (429, b'{"error": {"message": "context length tokens per minute"}}', RateLimited),
        (500, b"", ServerFailed),
        (503, b"<html>", ServerFailed),
        (529, b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', ServerFailed),
        (400, b'{"error": {"message": "x", "code": "context_length_exceeded"}}', ContextTooLong),
        (400, b'{"object": "error", "message": "This model\'s maximum context length is 10 tokens."}', ContextTooLong),
        (400, b'{"error": {"code": 400, "message": "x", "type": "exceed_context_size_error"}}', ContextTooLong),
        (500, b'{"error": "the request exceeds the available context size"}', ContextTooLong),
        (400, b'{"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}', ContextTooLong),
        (400, b'{"error": {"message": "Your credit balance is too low"}}', AuthenticationFailed),
        (400, b'{"code": "x", "error": "Incorrect API key provided"}', AuthenticationFailed),
        (None, b'{"error": {"type": "overloaded_error", "message": "x"}}', ServerFailed),
        (None, b'{"error": {"message": "x", "code": 429}}', RateLimited),
        (None, b'{"error": {"message": "x", "code": "400"}}', InvalidRequest),
        (None, b'{"error": {"message": "x"}}', ServerFailed),
    ],
)
def test_status_and_body_decide_the_kind(status: int | None, body: bytes, kind: type[BackendError]) -> None:
    assert type(failure(read_refusal(body), backend="b", status=status)) is kind


def test_error_keeps_the_providers_words_and_the_status() -> None:
    error = failure(read_refusal(b'{"error": "slow down"}'), backend="small", status=429, headers={"retry-after": "2"})
    assert str(error) == "small: HTTP 429: slow down"
    assert (error.provider_message, error.status, error.retry_after_s) == ("slow down", 429, 2.0)


def test_providers_words_are_bounded() -> None:
    error = failure(read_refusal(b"x" * 100_000), backend="b", status=400)
    assert len(error.provider_message) <= MAX_MESSAGE_CHARS + 1


def test_secret_at_the_bound_is_hidden_whole() -> None:
    secret = "topsecretkey"
    body = b"x" * (MAX_MESSAGE_CHARS - 6) + secret.encode()
    error = failure(read_refusal(body), backend="b", status=400, secrets=[secret])
    assert "tops" not in str(error)


def test_whatever_looks_like_a_key_is_hidden() -> None:
    assert redact("got sk-proj-abcdefgh12 and bearer abcdefgh12", []) == "got sk-*** and bearer ***"


SECRET = 'ab/cd+ef="0\\9<&'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(SECRET)[1:-1].replace("/", "\\/").replace("+", "\\u002b"))[1:-1],
        SECRET.replace("+", "\\u002B").replace("\\9", "\\\\9"),
        quote(SECRET),
        quote(SECRET, safe=""),
        html.escape(SECRET),
    ],
)
def test_a_secret_is_hidden_however_it_is_escaped(written: str) -> None:
    assert redact(f"a {written} b", [SECRET]) == "a *** b"
    body = b'{"error": {"message": "%b", "type": "x"}}' % written.replace(SECRET, "-").encode()
    error = failure(read_refusal(body), backend="b", status=400, secrets=[SECRET])
    assert b"cd" not in error.body
    assert "cd" not in str(error)


def test_an_error_is_one_line_whatever_the_provider_puts_into_it() -> None:
    body = b'{"error": {"message": "no\\n\\nERROR: forged \\u001b[31m\\u2028x"}}'
    error = failure(read_refusal(body), backend="b", status=400)
    assert str(error) == "b: HTTP 400: no ERROR: forged [31m x"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers) == expected


@given(body=st.binary(max_size=200), status=st.sampled_from([None, 400, 429, 500]))
def test_any_body_makes_an_error(body: bytes, status: int | None) -> None:
    assert isinstance(failure(read_refusal(body), backend="b", status=status), BackendError)


def test_error_keeps_the_providers_reply_without_secrets_where_it_is_an_object() -> None:
    body = b'{ "error": {"message": "bad topsecretkey", "extra": [1]} }'
    error = failure(read_refusal(body), backend="b", status=400, secrets=["topsecretkey"], format="chat")
    assert (error.body, error.format) == (body.replace(b"topsecretkey", b"***"), "chat")


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[1]", b'"busy"', b""])
def test_error_keeps_no_reply_that_is_no_object(body: bytes) -> None:
    assert failure(read_refusal(body), backend="b", status=500).body == b""
