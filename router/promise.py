"""The certificate behind a policy of the objective `within_of_best`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from ..backends import BackendSpec, ConfigError
from .policy import Policy

if TYPE_CHECKING:
    from ..classifiers import Trained

PROMISED = "within_of_best"


def with_certificate(policy: Policy, trained: Trained | None, specs: Mapping[str, BackendSpec]) -> Policy:
    """Returns the policy with the artefact's certificate for its margin and risk; others as they are.

    Raises:
        ConfigError: there is none, or it was given for other backends or prices.
    """
    if policy.objective != PROMISED or policy.certificate is not None:
        return policy
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
