"""Certificates: valid p-values, an honest refusal, and the way from traces to a policy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penstock.classifiers import FitError, load_artefact
from penstock.router import Policy, Pool
from penstock.router.cli import main
from penstock.training import Dataset, evaluate
from penstock.training.certify import certify, choose_slacks
from penstock.training.risk import p_value, reject_in_turn

MARGIN, RISK = 0.02, 0.05


@pytest.mark.parametrize(("won", "lost"), [(0.0, 0.02), (0.04, 0.06), (0.2, 0.22)])
def test_a_loss_at_the_margin_is_certified_as_seldom_as_the_risk_says(won: float, lost: float) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice([-1.0, 1.0, 0.0], size=(400, 500), p=[won, lost, 1 - won - lost])
    share = np.mean([p_value(losses, margin=MARGIN, risk=RISK) <= RISK for losses in drawn])
    assert share <= RISK + 2 * np.sqrt(RISK * (1 - RISK) / 400)


def test_a_router_that_loses_nothing_is_certified_with_enough_queries() -> None:
    assert p_value(np.zeros(120), margin=MARGIN, risk=RISK) > RISK
    assert p_value(np.zeros(200), margin=MARGIN, risk=RISK) < RISK
    assert p_value(np.full(5000, -1.0), margin=MARGIN, risk=RISK) < 1e-9
    assert p_value(np.ones(5000), margin=MARGIN, risk=RISK) == 1.0


def test_testing_ends_with_the_first_that_fails() -> None:
    good, bad = np.zeros(400), np.full(400, 0.5)
    n_passed, p_values = reject_in_turn(np.stack([good, good, bad, good]), margin=MARGIN, risk=RISK)
    assert n_passed == 2
    assert len(p_values) == 3
    assert p_values[2] == 1.0


def test_slacks_ascend_from_hardly_any_deviation_to_all() -> None:
    quality = np.random.default_rng(0).random((300, 3))
    slacks = choose_slacks(quality, best=1)
    assert (np.diff(slacks) > 0).all()
    needed = quality[:, [1]] - quality[:, [0, 2]]
    assert ((needed <= slacks[0]).any(axis=1)).mean() < 0.05
    assert (needed <= slacks[-1]).all()


def certify_demo(demo, part: Dataset, *, margin: float = 0.3):  # type: ignore[no-untyped-def]
    trained = demo.fitted.trained
    return certify(Pool({}, trained), part, trained.model.neighbours, margin=margin, risk=RISK, traces_sha256="")


def test_a_wide_margin_is_certified_with_a_saving(demo) -> None:  # type: ignore[no-untyped-def]
    certificate = certify_demo(demo, demo.test)
    assert certificate.n_queries <= demo.test.n_queries
    assert certificate.loss < 0.3
    assert 0 < certificate.saving < 1
    assert (certificate.p_values[:-1] <= RISK).all()
    assert certificate.slack in certificate.slacks


def test_too_few_queries_are_refused_with_how_many_would_do(demo) -> None:  # type: ignore[no-untyped-def]
    expected = r"with \d+ held-out queries no trade-off can be certified within 0.02 at risk 0.05; about \d+ would do"
    with pytest.raises(FitError, match=expected):
        certify_demo(demo, demo.test.take(np.arange(20)), margin=MARGIN)


def test_queries_that_were_learned_from_are_refused(demo) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FitError, match="queries were learned from; expected held-out ones only"):
        certify_demo(demo, demo.learned)


def test_twins_are_no_further_evidence(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test
    twice = test.take(np.concatenate([np.arange(test.n_queries)] * 2))
    assert certify_demo(demo, twice).n_queries == certify_demo(demo, test).n_queries


def test_a_certificate_travels_from_traces_to_the_policy(
    demo,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, traces = tmp_path / "artefact", str(demo.grades)
    words = ["train", traces, "--out", str(folder), "--classifier", "linear", "--no-report", "--quiet"]
    assert main(words) == 0
    before, _ = load_artefact(folder)
    capsys.readouterr()
    for _ in range(2):  # the second replaces the first
        assert main(["certify", str(folder), traces, "--margin", "0.3", "--quiet", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "}")
    trained, manifest = load_artefact(folder)
    [certificate] = trained.certificates
    assert before.certificates == ()
    assert printed["slack"] == certificate.slack
    assert certificate.traces_sha256 == manifest.training_data_sha256
    models = tmp_path / "models.yaml"
    models.write_text(
        "artefact: artefact\npolicies: {sure: {objective: within_of_best, margin: 0.3}}\nbackends:\n"
        "  small: {type: fake, price: {input: 0.1, output: 0.1}}\n  mid: {type: fake, price: {input: 1, output: 1}}\n"
        "  lrm: {type: fake, efforts: [low, high], price: {input: 4, output: 4}}\n"
    )
    assert main(["route", "2 + 2?", "--models", str(models)]) == 1
    assert "certified for other backends or prices" in capsys.readouterr().err
    assert main(["certify", str(folder), traces, "--models", str(models), "--margin", "0.3", "--quiet"]) == 0
    assert main(["route", "2 + 2?", "--models", str(models)]) == 0
    assert "certified: at most 0.3 below always asking lrm@high, on average, at risk 0.05" in capsys.readouterr().out


def test_a_router_is_evaluated_before_it_is_certified(demo) -> None:  # type: ignore[no-untyped-def]
    policies = {"sure": Policy(name="sure", objective="within_of_best"), "auto": Policy(name="auto")}
    test = demo.test.take(np.arange(20))
    pool = Pool({}, demo.fitted.trained)
    found = evaluate(pool, test, policies=policies, default_policy="sure", split="test", title="few", n_points=2)
    assert [outcome.policy for outcome in found.policies] == ["auto"]
    assert any("run `penstock certify`" in note for note in found.notes)


def test_traces_that_were_trained_on_are_refused_but_for_their_test_part(
    demo,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "artefact"
    words = [str(demo.grades), "--quiet"]
    assert main(["train", *words, "--out", str(folder), "--classifier", "mean", "--no-report"]) == 0
    assert main(["certify", str(folder), *words, "--split", "all"]) == 1
    assert "these traces were trained on; expected test, or other traces" in capsys.readouterr().err
