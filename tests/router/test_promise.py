"""What policies leave to the artefact: the certificate of `within_of_best`, the lam of `near_best`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import ConfigError, Query
from penstock.classifiers import Trained, no_escalation
from penstock.classifiers.certificate import Certificate
from penstock.classifiers.trade_offs import TradeOffs
from penstock.router import Policy, Pool, Wishes, read_config
from penstock.router.objectives import create_objective
from penstock.router.promise import terms_of

from ..classifiers.planted import model_of
from .pieces import outlook, price, spec, write_models

PROMISED = Policy(name="sure", objective="within_of_best")
BACKENDS = ("small", "mid", "lrm")


def certificate(slack: float, *, backend: str = "lrm", terms: str = "", margin: float = 0.02) -> Certificate:
    """Returns a certificate of that slack."""
    return Certificate(
        margin=margin,
        risk=0.05,
        backend=backend,
        slack=slack,
        n_queries=500,
        loss=0.004,
        saving=0.25,
        slacks=np.array([slack]),
        p_values=np.array([0.01]),
        traces_sha256="",
        terms=terms,
    )


@pytest.mark.parametrize(("slack", "place"), [(-0.3, 2), (0.0, 2), (0.15, 1), (0.5, 0)])
def test_the_cheapest_within_the_slack_is_asked(slack: float, place: int) -> None:
    policy = replace(PROMISED, certificate=certificate(slack))
    assert create_objective("within_of_best").start(outlook([0.4, 0.7, 0.8], [0.01, 0.1, 1.0]), policy) == place


def test_where_the_certified_backend_cannot_be_asked_the_best_estimate_stands_for_it() -> None:
    policy = replace(PROMISED, certificate=certificate(0.0, backend="gone"))
    assert create_objective("within_of_best").start(outlook([0.4, 0.9, 0.8], [0.01, 0.1, 1.0]), policy) == 1


def trained_with(*certificates: Certificate) -> Trained:
    """Returns a small router that holds these certificates."""
    return Trained(model=model_of(), confidence=None, escalation=no_escalation(3), certificates=certificates)


def test_a_pool_decides_by_the_certificate_of_the_artefact() -> None:
    anything = certificate(1.0, terms=terms_of({}, BACKENDS))
    decision = Pool({}, trained_with(anything)).decide(Query.from_text("name the capital"), PROMISED)
    assert decision.backend == "small"
    assert anything.sentence() in decision.explain()


@pytest.mark.parametrize("policy", [PROMISED, replace(PROMISED, risk=0.01)])
def test_a_promise_that_the_artefact_does_not_make_is_refused(policy: Policy) -> None:
    pool = Pool({}, trained_with(certificate(1.0, margin=0.1, terms=terms_of({}, BACKENDS))))
    with pytest.raises(ConfigError, match=r"no such certificate in the artefact, which has margin 0\.1 at risk 0\.05"):
        pool.decide(Query.from_text("hello"), policy)


def test_without_an_artefact_nothing_is_promised() -> None:
    with pytest.raises(ConfigError, match="which has none; run `penstock certify`"):
        Pool({"small": spec("small")}, None).decide(Query.from_text("hello"), PROMISED)


def test_a_certificate_does_not_hold_at_other_prices() -> None:
    specs = {name: spec(name, price=price(1, 2)) for name in BACKENDS}
    trained = trained_with(certificate(1.0, terms=terms_of(specs, BACKENDS)))
    assert Pool(specs, trained).decide(Query.from_text("hello"), PROMISED).backend in BACKENDS
    dearer = specs | {"lrm": spec("lrm", price=price(1, 3))}
    with pytest.raises(ConfigError, match="certified for other backends or prices"):
        Pool(dearer, trained).decide(Query.from_text("hello"), PROMISED)


MODELS = """
    policies:
      sure: {{objective: within_of_best, margin: 0.03, risk: 0.1{more}}}
      plain: {{when_unsure: safe}}
    backends:
      one: {{type: fake}}
"""


def test_the_keys_of_a_promise_are_read(tmp_path: Path) -> None:
    policies = read_config(write_models(tmp_path, MODELS.format(more=""))).policies
    assert (policies["sure"].margin, policies["sure"].risk) == (0.03, 0.1)
    assert (policies["plain"].when_unsure, policies["sure"].when_unsure) == ("safe", None)


@pytest.mark.parametrize("key", ["lam: 2", "max_cost_usd: 1", "deny: [one]", "when_unsure: cheap", "max_calls: 1"])
def test_what_a_certificate_knows_nothing_of_is_refused_beside_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"policies.sure.{key.partition(':')[0]}: does not go with within_of_best"):
        read_config(write_models(tmp_path, MODELS.format(more=f", {key}")))


def test_an_unknown_word_for_when_unsure_is_refused(tmp_path: Path) -> None:
    text = "policies: {p: {when_unsure: bold}}\nbackends: {one: {type: fake}}"
    with pytest.raises(ConfigError, match="when_unsure: unknown 'bold'; expected one of safe, cheap"):
        read_config(write_models(tmp_path, text))


# near_best

NEAR = Policy(name="near", objective="near_best", margin=0.01)
LAGS = TradeOffs(
    best="large",
    lams=np.array([5.0, 50.0]),
    lag=np.array([0.0, 0.1]),
    lag_error=np.zeros(2),
    cost=np.array([0.5, 0.1]),
)


@pytest.mark.parametrize(("margin", "lam"), [(0.01, 5.0), (0.2, 50.0)])
def test_a_pool_decides_at_the_lam_that_stayed_within_the_margin(margin: float, lam: float) -> None:
    pool = Pool({}, replace(trained_with(), trade_offs=LAGS))
    policy = pool.decide(Query.from_text("hello"), replace(NEAR, margin=margin)).policy
    assert (policy.name, policy.objective, policy.lam) == ("near", "utility", lam)


def test_where_no_trade_off_saves_the_best_backend_is_asked() -> None:
    trained = trained_with()
    best = trained.model.backends[-1]
    dear = replace(LAGS, best=best, cost=np.array([1.2, 1.1]))
    pool = Pool({}, replace(trained, trade_offs=dear))
    decision = pool.decide(Query.from_text("hello"), NEAR)
    assert (decision.backend, decision.policy.objective) == (best, "near_best")
    assert f"nothing that stayed within 0.01 of {best}, the best backend in training, cost less" in decision.explain()
    assert pool.decide(Query.from_text("hello"), Wishes(deny=(best,)).on(NEAR)).backend != best


def test_a_wish_for_a_lam_is_kept() -> None:
    pool = Pool({}, replace(trained_with(), trade_offs=LAGS))
    assert pool.decide(Query.from_text("hello"), Wishes(lam=7.0).on(NEAR)).policy.lam == 7.0


@pytest.mark.parametrize("trained", [None, trained_with()])
def test_without_trade_offs_no_lam_is_known(trained: Trained | None) -> None:
    pool = Pool({} if trained else {"small": spec("small")}, trained)
    with pytest.raises(ConfigError, match=r"policy near: no artefact tells which lam stays within 0\.01"):
        pool.decide(Query.from_text("hello"), NEAR)
    assert "penstock train" in pool.unkept([NEAR])["near"]


def test_a_lam_beside_near_best_is_refused(tmp_path: Path) -> None:
    text = "policies: {p: {objective: near_best, lam: 3}}\nbackends: {one: {type: fake}}"
    with pytest.raises(ConfigError, match=r"policies\.p\.lam: does not go with near_best"):
        read_config(write_models(tmp_path, text))
