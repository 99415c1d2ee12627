"""Taking out of texts what should not stand in a log, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..backends import ConfigError, resolve

Redactor = Callable[[str], str]

REDACTORS = {"patterns": "penstock.router.redaction:redact_patterns"}

# What keys and tokens of well-known services look like, and what stands behind the name of one. Every repetition is
# bounded or of one class of signs, so that no text makes the search slow.
_KEYS = re.compile(
    r"""
    -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----[A-Za-z0-9+/=\s]*(?:-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----)?
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                          # a JSON web token
    | \b(?:sk|pk|rk)[-_][\w-]{16,}                                               # OpenAI, Anthropic, Stripe
    | \bpenstock_[0-9a-f]{12}_[\w-]{20,}
    | \bgh[opsur]_\w{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{20,} | \bhf_[A-Za-z0-9]{20,}
    | \bxox[abeoprs]-[\w-]{10,} | \bAIza[\w-]{30,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | (?i:\bbearer\ +)[\w.~+/=-]{16,}
    | (?i:(?:api[_-]?key|secret|token|passw(?:or)?d)["']?\s{0,3}[:=]\s{0,3}["']?)[^\s"',;]{6,}
    """,
    re.VERBOSE,
)
_EMAIL = re.compile(r"[\w.%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)")
_PHONE = re.compile(r"(?<![\w+])(?:\+\d[\d ().-]{6,20}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4})(?!\w)")


def redact_patterns(text: str) -> str:
    """Returns a text with keys, e-mail addresses, card numbers and telephone numbers replaced by words for them.

    >>> redact_patterns("Write to ada@example.com, +44 20 7946 0000, or pay with 4111 1111 1111 1111.")
    'Write to [email], [phone], or pay with [card].'
    """
    text = _KEYS.sub("[key]", text)
    if "@" in text:  # the search for what may stand before one is the slowest of all
        text = _EMAIL.sub("[email]", text)
    text = _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    return _PHONE.sub("[phone]", text)


def redactors_of(names: Sequence[str]) -> tuple[Redactor, ...]:
    """Returns the functions behind built-in names and `package.module:function`, each from a text to a text.

    Raises:
        ConfigError: a name is unknown, or what it stands for cannot be called.
    """
    found = []
    for name in names:
        redactor = resolve(name, REDACTORS, what="redact")
        if not callable(redactor):
            raise ConfigError(f"redact: {name!r} cannot be called; expected a function from a text to a text")
        found.append(redactor)
    return tuple(found)


def _is_card(digits: str) -> bool:
    """Returns whether the last digit checks the others, as on every payment card.

    Reference: ISO/IEC 7812-1, annex B (the formula of H. P. Luhn).
    """
    total = 0
    for place, digit in enumerate(int(sign) for sign in reversed(digits) if sign.isdigit()):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
