from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import ConfigError
from penstock.router.redaction import redact_patterns, redactors_of

KEYS = {
    "OpenAI": "sk-proj-" + "a1B2" * 8,
    "Anthropic": "sk-ant-api03-" + "a1B2" * 8,
    "Stripe": "sk_live_" + "a1B2" * 5,
    "ours": "penstock_0123456789ab_" + "x" * 43,
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitLab": "glpat-" + "a1B2" * 5,
    "Hugging Face": "hf_" + "a1B2" * 8,
    "Slack": "xoxb-123456789012-abcdefabcdef",
    "Google": "AIza" + "a1B2" * 8,
    "AWS": "AKIA" + "A1B2" * 4,
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAB+/==\n-----END RSA PRIVATE KEY-----",
    "bearer": "Bearer abcdefghijklmnop",
    "assignment": 'api_key="hunter2hunter2"',
    "password": "password: correct-horse",
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_are_taken_out(kind: str) -> None:
    redacted = redact_patterns(f"see {KEYS[kind]} and go on")
    assert "[key]" in redacted
    assert redacted.startswith("see ")
    assert redacted.endswith(" and go on")
    assert not any(part in redacted for part in ("a1B2", "A1B2", "hunter2", "horse", "MIIEow", "abcdef", "DEF_123"))


@pytest.mark.parametrize("address", ["ada@example.com", "a.b+c@mail.example.co.uk", "UPPER_case%x@host-1.org"])
def test_email_addresses_are_taken_out(address: str) -> None:
    assert redact_patterns(f"<{address}>, please") == "<[email]>, please"


@pytest.mark.parametrize(
    "number", ["+44 20 7946 0000", "+1 (212) 555-0100", "(212) 555-0100", "212-555-0100", "212.555.0100"]
)
def test_telephone_numbers_are_taken_out(number: str) -> None:
    assert redact_patterns(f"call {number}!") == "call [phone]!"


@pytest.mark.parametrize("card", ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"])
def test_card_numbers_are_taken_out(card: str) -> None:
    assert redact_patterns(f"pay with {card}, then") == "pay with [card], then"


@pytest.mark.parametrize(
    "text",
    [
        "What is 17 * 23?",
        "1234567890123456 is no card: its last digit is wrong",
        "pi is 3.14159265358979323846",
        "on 2024-01-31 at 12:00:00 it was 1,000,000",
        "the tokens: 1024, and a secretary",
        "f(x) = x ** 2 - 3 * x + 1; a @ b",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert redact_patterns(text) == text


@given(st.text(max_size=200))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact_patterns(text)
    assert redact_patterns(once) == once


def test_a_redactor_that_is_not_there_or_no_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="redact: unknown 'names'; expected one of patterns"):
        redactors_of(["names"])
    with pytest.raises(ConfigError, match="'math:pi' cannot be called"):
        redactors_of(["math:pi"])
