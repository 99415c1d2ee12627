"""The door of the sidecar: knows keys, holds them to their limits, and keeps account of what they use."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from ...backends import PenstockError
from ..http_error import HttpError
from ..tally import Tally, none_refused
from .key import ANYONE, Key, id_in
from .limits import Limit, limits_of
from .store import Claim, Store

logger = logging.getLogger(__name__)

_FREE = contextlib.nullcontext()
_BEARER = "bearer "
_WORDS = {"requests": "{most:g} requests a minute", "tokens": "{most:g} tokens a minute", "usd": "${most:g} a {window}"}


class Guard:
    """Lets requests in by their key. Without a store, everybody may do everything.

    `clock` gives seconds since 1970.
    """

    def __init__(self, store: Store | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._unwritten: dict[str, Claim] = {}  # what the store would not take yet, by counter

    @property
    def has_keys(self) -> bool:
        """Whether requests need a key."""
        return self._store is not None

    def admit(self, headers: Iterable[tuple[bytes, bytes]], *, spends: bool) -> Key:
        """Returns the key of a request and counts the request; `spends`: it may cost tokens and money.

        Raises:
            HttpError: there is no key, it is not known or revoked, or what it may use is used up.
        """
        key = self.identify(headers)
        if self._store is not None:
            with _looked_up():
                self._count(self._store, key, spends=spends)
        return key

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Key:
        """Returns the key of a request, and counts nothing.

        Raises:
            HttpError: there is no key, or it is not known or revoked.
        """
        if self._store is None:
            return ANYONE
        texts = _keys_in(headers)
        if not texts:
            raise _unknown("no key; send one as `authorization: Bearer ...` or `x-api-key`", code="missing_api_key")
        with _looked_up():
            key = self._find(self._store, texts)
        if key is None:
            raise _unknown("the key is not one of this sidecar, or was revoked", code="invalid_api_key")
        return key

    def billed(self, key: Key, tally: Tally) -> AbstractContextManager[None]:
        """Returns a context whose end charges the key with what the request has used by then, and in which no further
        call is made once that, with all else the key has used, reaches a limit.
        """
        return _FREE if self._store is None else self._billed(self._store, key, tally)

    def close(self) -> None:
        """Writes what is not written yet, and frees the store; may be called twice."""
        if self._store is not None:
            self._write(self._store, self._clock())
            self._store.close()

    @contextlib.contextmanager
    def _billed(self, store: Store, key: Key, tally: Tally) -> Iterator[None]:
        tally.refusal = lambda: self._refusal(key, tally)
        try:
            yield
        finally:
            tally.refusal = none_refused  # or it would know itself, and not be freed before a collection of garbage
            tokens, cost_usd = tally.total()
            self._settle(store, key, tokens=tokens, cost_usd=cost_usd)

    def _find(self, store: Store, texts: list[str]) -> Key | None:
        """Returns the key that a request shows; clients may send one of another kind beside it."""
        for text in texts:
            id = id_in(text)
            key = store.find(id) if id else None
            if key is not None and key.is_held_by(text):
                return key
        return None

    def _count(self, store: Store, key: Key, *, spends: bool) -> None:
        now = self._clock()
        held = [limit for limit in limits_of(key, now) if limit.most is not None]
        held = [limit for limit in held if spends or limit.unit == "requests"]
        if not held:
            return
        claims = [_claim(limit, 1.0 if limit.unit == "requests" else 0.0, held=True) for limit in held]
        totals = store.charge(claims, now=now)
        spent = [limit for limit, claim, total in zip(held, claims, totals, strict=True) if total >= claim.limit]
        if spent:
            raise _too_much(max(spent, key=lambda limit: limit.ends_at), now)

    def _refusal(self, key: Key, tally: Tally) -> HttpError | None:
        """Returns why a request that has used so much may make no further call, None where it may."""
        now = self._clock()
        held = [limit for limit in limits_of(key, now) if limit.most is not None and limit.unit in ("tokens", "usd")]
        if self._store is None or not held:
            return None
        tokens, cost_usd = tally.total()
        used = {"tokens": float(tokens), "usd": cost_usd}
        try:
            with _looked_up():
                totals = self._store.charge([_claim(limit, 0.0, held=False) for limit in held], now=now)
        except HttpError as error:
            return error
        spent = [
            limit for limit, total in zip(held, totals, strict=True) if total + used[limit.unit] >= (limit.most or 0.0)
        ]
        return _too_much(max(spent, key=lambda limit: limit.ends_at), now) if spent else None

    def _settle(self, store: Store, key: Key, *, tokens: int, cost_usd: float) -> None:
        """Adds what was used; what the store does not take is kept for the next time, and told."""
        now = self._clock()
        for limit in limits_of(key, now):
            amount = {"tokens": float(tokens), "usd": cost_usd}.get(limit.unit, 0.0)
            if amount and (limit.unit == "usd" or limit.most is not None):
                claim = _claim(limit, amount, held=False)
                before = self._unwritten.get(claim.counter)
                self._unwritten[claim.counter] = replace(claim, amount=amount + (before.amount if before else 0.0))
        self._write(store, now)

    def _write(self, store: Store, now: float) -> None:
        if not self._unwritten:
            return
        try:
            store.charge(list(self._unwritten.values()), now=now)
            self._unwritten.clear()
        except PenstockError as error:
            logger.error("what keys have used is not written yet: %s", error)


@contextlib.contextmanager
def _looked_up() -> Iterator[None]:
    """A context in which a store that cannot be reached becomes what the client is told."""
    try:
        yield
    except HttpError:
        raise
    except PenstockError as error:
        logger.error("%s", error)
        raise HttpError(503, "keys cannot be looked up just now; try again", code="keys_unavailable") from error


def _claim(limit: Limit, amount: float, *, held: bool) -> Claim:
    most = limit.most if held and limit.most is not None else math.inf
    return Claim(counter=limit.counter, amount=amount, expires_at=limit.ends_at, limit=most)


def _keys_in(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Returns what a request's headers give as a key."""
    found = []
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key" and text:
            found.append(text)
        if name == b"authorization" and text[: len(_BEARER)].lower() == _BEARER:
            found.append(text[len(_BEARER) :].strip())
    return found


def _unknown(message: str, *, code: str) -> HttpError:
    return HttpError(401, message, code=code, headers=[("www-authenticate", "Bearer")])


def _too_much(limit: Limit, now: float) -> HttpError:
    """Returns the refusal of a request, with the time after which another one may be let in."""
    words = _WORDS[limit.unit].format(most=limit.most, window=limit.window)
    wait_s = max(1, math.ceil(limit.ends_at - now))
    headers = [("retry-after", str(wait_s))]
    if limit.unit == "usd":
        headers.append(("x-should-retry", "false"))  # both official clients heed it, and need not try for hours
        return HttpError(429, f"the budget of this key is spent: {words}", code="budget_spent", headers=headers)
    return HttpError(429, f"this key may have {words}", code="rate_limit_exceeded", headers=headers)
