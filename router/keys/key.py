"""An API key as it is kept: what it may do, and a hash by which it is known again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace

_PREFIX = "penstock"  # so that scanners for leaked secrets, and people, know what they have found
_ID_BYTES = 6
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the holder of a key may do; empty or None: no limit.

    The key itself is `penstock_ID_SECRET`, and only its SHA-256 is kept. That is enough, and a slow hash would be no
    better: nobody can guess 256 random bits, however fast the guesses are, and every request has to be hashed.
    """

    id: str  # public: lists show it, and it finds the key without comparing secrets
    name: str
    digest: str  # hexadecimal
    created_at: float  # in seconds since 1970, as all times here
    revoked_at: float | None = None
    policies: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    rpm: int | None = None  # requests a minute
    tpm: int | None = None  # tokens a minute, in and out
    budget_usd_day: float | None = None
    budget_usd_month: float | None = None
    sees_all: bool = False  # may see the requests of every key on the page

    def may_see(self, backend: str) -> bool:
        """Returns whether the holder is told of a backend."""
        return self.sees_all or not self.backends or backend in self.backends

    def is_held_by(self, text: str) -> bool:
        """Returns whether a text is this key, and it may still be used; how long that takes tells nothing."""
        is_same = hmac.compare_digest(_digest(text), self.digest)
        return is_same and self.revoked_at is None


ANYONE = Key(id="", name="", digest="", created_at=0.0, sees_all=True)  # whoever asks where no keys are configured


def new_key(key: Key) -> tuple[Key, str]:
    """Returns a key with an id and a secret of its own, and its text, which nothing but the digest is kept of."""
    id = secrets.token_hex(_ID_BYTES)
    text = f"{_PREFIX}_{id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return replace(key, id=id, digest=_digest(text)), text


def id_in(text: str) -> str:
    """Returns the id that a key's text names; empty where the text is no key of ours.

    >>> id_in("penstock_0123456789ab_secret"), id_in("sk-proj-1")
    ('0123456789ab', '')
    """
    prefix, _, rest = text.partition("_")
    id, _, secret = rest.partition("_")
    return id if prefix == _PREFIX and secret else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
