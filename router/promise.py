"""What a policy leaves to the artefact: the certificate of `within_of_best`, and the lam of `near_best`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from ..backends import BackendSpec, ConfigError
from .policy import NEAR_BEST, Policy

if TYPE_CHECKING:
    from ..classifiers import Trained

PROMISED = "within_of_best"


def settled(policy: Policy, trained: Trained | None, specs: Mapping[str, BackendSpec]) -> Policy:
    """Returns the policy with what the artefact knows for its margin; one that leaves nothing to it as it is.

    Raises:
        ConfigError: the artefact does not know it.
    """
    if policy.objective == NEAR_BEST:
        return _near_best(policy, trained)
    if policy.objective == PROMISED and policy.certificate is None:
        return _with_certificate(policy, trained, specs)
    return policy


def _near_best(policy: Policy, trained: Trained | None) -> Policy:
    """Returns the policy as one of `utility`, with the lam that stayed within its margin; without one, as one that asks
    the best backend.
    """
    if trained is None or trained.trade_offs is None:
        raise ConfigError(
            f"policy {policy.name}: no artefact tells which lam stays within {policy.margin:g} of the best backend;"
            " run `penstock train`, or use objective utility"
        )
    lam = trained.trade_offs.lam_within(policy.margin)
    if lam is None:
        return replace(policy, best=trained.trade_offs.best)
    return replace(policy, objective="utility", lam=lam)


def _with_certificate(policy: Policy, trained: Trained | None, specs: Mapping[str, BackendSpec]) -> Policy:
    where = f"policy {policy.name}: margin {policy.margin:g}, risk {policy.risk:g}"
    known = trained.certificates if trained else ()
    for certificate in known:
        if (certificate.margin, certificate.risk) == (policy.margin, policy.risk):
            if trained is None or certificate.terms != terms_of(specs, trained.model.backends):
                raise ConfigError(
                    f"{where}: certified for other backends or prices; run `penstock certify` with this models.yaml"
                )
            return replace(policy, certificate=certificate)
    given = ", ".join(f"margin {each.margin:g} at risk {each.risk:g}" for each in known) or "none"
    raise ConfigError(f"{where}: no such certificate in the artefact, which has {given}; run `penstock certify`")


def terms_of(specs: Mapping[str, BackendSpec], learned: Sequence[str]) -> str:
    """Returns a hash of the backends and prices that decisions are made by."""
    prices = {name: spec.price for name, spec in specs.items()} if specs else dict.fromkeys(learned)
    return hashlib.sha256(orjson.dumps(prices, option=orjson.OPT_SORT_KEYS)).hexdigest()
