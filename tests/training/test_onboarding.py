"""A backend joins a trained router: what is believed of it, which queries are asked, what comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import FitError, Trained, load_artefact, save_artefact
from penstock.classifiers.cost import CostModel
from penstock.classifiers.ridge import FloatArray
from penstock.router import Policy, Pool
from penstock.router.cli import main
from penstock.router.promise import settled
from penstock.training import Dataset, Trace, build_dataset, fit, split_queries
from penstock.training.generate import generate_traces
from penstock.training.newcomer import Newcomer, choose_queries
from penstock.training.onboarding import onboard

from .collecting import added, lines_of, sums, write_rows

NEW = "lrm@low"
MODELS = """\
artefact: joined
backends:
  small: {type: fake, tier: small, price: {input: 0.04, output: 0.10}}
  mid: {type: fake, tier: mid, price: {input: 0.40, output: 1.60}}
  lrm: {type: fake, tier: lrm, efforts: [low, high], price: {input: 1.10, output: 4.40}, answer: "It is 7."}
"""


def known_pool(n_queries: int = 800, *, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Returns logits of three backends and the true logits of a fourth: difficulty, and a kind that it is good at."""
    rng = np.random.default_rng(seed)
    difficulty, kind = rng.normal(size=(2, n_queries))
    known = np.array([-0.5, 0.5, 1.5]) - difficulty[:, None] + np.outer(kind, [0.8, 0.0, -0.8])
    return known, 1.0 - difficulty - 0.4 * kind


def chances(logits: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-logits))


def predicted(newcomer: Newcomer, known: FloatArray) -> FloatArray:
    weights, intercept = newcomer.as_map()
    return chances(known @ weights + intercept)


def test_before_any_label_a_newcomer_is_like_the_average_of_the_known() -> None:
    known, _ = known_pool()
    newcomer = Newcomer.expect(known)
    assert np.corrcoef(predicted(newcomer, known), known.mean(axis=1))[0, 1] > 0.9
    assert abs(predicted(newcomer, known).mean() - chances(known).mean()) < 0.1


def test_labels_bring_the_estimates_to_the_truth() -> None:
    known, truth = known_pool()
    scores = (np.random.default_rng(1).random(len(truth)) < chances(truth)).astype(float)
    errors = [
        np.mean((predicted(Newcomer.expect(known).learn(known[:n], scores[:n]), known) - chances(truth)) ** 2)
        for n in (0, 50, 800)
    ]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


def test_labels_that_are_all_right_leave_a_bounded_belief() -> None:
    known, _ = known_pool()
    newcomer = Newcomer.expect(known).learn(known[:5], np.ones(5))
    assert np.isfinite(newcomer.mean).all()
    assert predicted(newcomer, known).mean() < 0.99


def test_a_newcomer_beside_a_single_known_backend_can_be_placed() -> None:
    known, truth = known_pool()
    newcomer = Newcomer.expect(known[:, :1]).learn(known[:200, :1], chances(truth[:200]))
    assert abs(predicted(newcomer, known[:, :1]).mean() - chances(truth).mean()) < 0.05


def test_chosen_queries_stand_for_all_better_than_random_ones() -> None:
    known, truth = known_pool()
    newcomer = Newcomer.expect(known)
    weights = np.exp(-((newcomer.design(known) @ newcomer.mean) ** 2) / 8)  # about what labels tell

    def off(rows: Sequence[int] | FloatArray) -> float:
        chosen = np.asarray(rows, dtype=int)
        return float(abs(chances(truth[chosen]).mean() - np.average(chances(truth), weights=weights)))

    rng = np.random.default_rng(0)
    random = [off(rng.choice(len(known), 30, replace=False)) for _ in range(20)]
    assert off(choose_queries(newcomer, known, 30)) < np.mean(random)


def test_what_was_asked_before_is_not_covered_again() -> None:
    known, _ = known_pool()
    newcomer = Newcomer.expect(known)
    easy = np.argsort(-known.mean(axis=1))[:300].tolist()
    after = choose_queries(newcomer, known, 20, without=easy[:60])
    assert len(set(after) & set(easy)) < len(set(choose_queries(newcomer, known, 20)) & set(easy))


def test_no_query_is_chosen_twice_or_again() -> None:
    known, _ = known_pool(40)
    chosen = choose_queries(Newcomer.expect(known), known, 100, without=[3, 4])
    assert sorted([*chosen, 3, 4]) == list(range(40))


@pytest.fixture(scope="module")
def rows() -> list[Trace]:
    return list(generate_traces(n_queries=200, seed=5))


@pytest.fixture(scope="module")
def base(rows: list[Trace]) -> Trained:
    dataset = build_dataset([row for row in rows if row.backend != NEW])
    return fit(dataset, split_queries(dataset, seed=0), classifier="irt").trained


def labelled(rows: list[Trace], n: int = 60) -> Dataset:
    return build_dataset([row for row in rows if row.backend == NEW][:n])


def test_the_others_stay_as_they_are(base: Trained, rows: list[Trace]) -> None:
    joined = onboard(base, labelled(rows), NEW)
    texts = labelled(rows, 5).texts
    for before, after in zip(base.model.estimate_all(texts), joined.model.estimate_all(texts), strict=True):
        assert after.backends == (*before.backends, NEW)
        for name in ("quality", "cost_usd", "output_tokens", "latency_s"):
            np.testing.assert_allclose(getattr(after, name)[:-1], getattr(before, name), rtol=1e-5)
            assert np.isfinite(getattr(after, name)[-1])


def test_what_was_found_for_the_pool_without_it_is_left_behind(base: Trained, rows: list[Trace]) -> None:
    joined = onboard(base, build_dataset(rows), NEW)
    assert base.trade_offs is not None
    assert joined.trade_offs is None
    with pytest.raises(ConfigError, match="policy near: no artefact tells which lam"):
        settled(Policy(name="near", objective="near_best"), joined, {})


def test_one_query_is_estimated_as_among_others(base: Trained, rows: list[Trace]) -> None:
    joined = onboard(base, labelled(rows), NEW).model
    text = labelled(rows, 1).texts[0]
    one, among = joined.estimate(text), joined.estimate_all([text, "What is 2 + 2?"])[0]
    np.testing.assert_allclose(one.quality, among.quality, atol=1e-4)
    np.testing.assert_allclose(one.cost_usd, among.cost_usd, rtol=1e-3)


def test_what_is_expected_of_the_newcomer_is_near_what_it_does(base: Trained, rows: list[Trace]) -> None:
    everything = labelled(rows, 200)
    joined = onboard(base, labelled(rows), NEW, everything.texts).model
    found = joined.estimate_all(everything.texts)
    assert np.mean([each.quality[-1] for each in found]) == pytest.approx(np.nanmean(everything.quality), abs=0.1)
    assert np.mean([each.cost_usd[-1] for each in found]) == pytest.approx(np.nanmean(everything.cost_usd), rel=0.3)


def test_a_second_backend_can_join(base: Trained, rows: list[Trace]) -> None:
    once = onboard(base, labelled(rows), NEW)
    again = [row for row in rows if row.backend == "mid"][:20]
    twin = build_dataset([Trace(**{**_fields(row), "backend": "twin"}) for row in again])
    joined = onboard(once, twin, "twin").model
    assert joined.backends[-2:] == (NEW, "twin")
    assert joined.joined == {"twin": 20, NEW: 60}


def test_a_joined_router_survives_the_artefact(base: Trained, rows: list[Trace], tmp_path: Path) -> None:
    joined = onboard(base, labelled(rows), NEW)
    save_artefact(joined, tmp_path / "joined", training_data_sha256="", seed=0, metrics={})
    loaded, _ = load_artefact(tmp_path / "joined")
    assert loaded.model.joined == {NEW: 60}
    text = "What is 17 * 23?"
    assert loaded.model.estimate(text).quality.tolist() == joined.model.estimate(text).quality.tolist()
    assert Pool({}, loaded).escalation.loading.shape == (4,)


def test_who_is_there_already_or_has_no_label_is_refused(base: Trained, rows: list[Trace]) -> None:
    with pytest.raises(FitError, match="'mid' is in the router already"):
        onboard(base, labelled(rows), "mid")
    with pytest.raises(FitError, match="'nobody': no graded query"):
        onboard(base, labelled(rows), "nobody")


def test_costs_that_nobody_else_has_are_a_constant() -> None:
    model = _cost_without_latency()
    observed = np.array([[2.0, np.nan, 3.0], [4.0, np.nan, 3.0]])
    joined = model.with_backend(np.full((2, 3, 1), 1.0), observed)
    assert joined.n_backends == 2
    assert joined.cells.tolist() == [0, 1, 5]
    assert joined.smearing[2] == pytest.approx(1.0)
    assert np.exp(joined.log_values.intercept[2]) == pytest.approx(3.0)


def test_a_backend_that_costs_nothing_stays_free() -> None:
    joined = _cost_without_latency().with_backend(np.full((2, 3, 1), 1.0), np.array([[0.0, np.nan, np.nan]] * 2))
    assert joined.smearing.tolist() == [1.0, 0.0]


def _cost_without_latency() -> CostModel:
    from penstock.classifiers.ridge import LinearMap

    flat = LinearMap(
        dense_weights=np.zeros((4, 1), dtype=np.float32),
        term_weights=np.empty((0, 1), dtype=np.float32),
        intercept=np.zeros(1, dtype=np.float32),
    )
    return CostModel(log_values=flat, cells=np.array([0]), smearing=np.ones(1), spread=np.zeros(1), n_backends=1)


def _fields(row: Trace) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


# The command


@pytest.fixture
def folder(base: Trained, tmp_path: Path) -> Path:
    save_artefact(base, tmp_path / "base", training_data_sha256="", seed=0, metrics={})
    (tmp_path / "models.yaml").write_text(MODELS)
    write_rows(tmp_path / "prompts.jsonl", sums(30))
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    return ["onboard", str(folder / "base"), str(folder / "prompts.jsonl"), "--backend", NEW, "--quiet", *more]


def asking(folder: Path, n: int) -> list[str]:
    return words(folder, "--models", str(folder / "models.yaml"), "--out", str(folder / "joined"), "--n", str(n))


def test_the_new_backend_alone_is_asked_and_has_joined(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asking(folder, 12)) == 0
    asked = lines_of(folder / "joined.jsonl")
    assert len(asked) == 12
    assert {row["backend"] for row in asked} == {NEW}
    assert {row["score"] for row in asked} == {float(added(row["query"]) == 7) for row in asked}
    assert "on 12 queries" in capsys.readouterr().out
    assert load_artefact(folder / "joined")[0].model.joined == {NEW: 12}
    assert main(["route", "What is 3 + 4?", "--models", str(folder / "models.yaml")]) == 0
    assert f"{NEW}: joined by 12 graded queries" in capsys.readouterr().out


def test_a_second_run_asks_for_what_is_missing_only(folder: Path) -> None:
    assert main(asking(folder, 5)) == 0
    first = lines_of(folder / "joined.jsonl")
    assert main(asking(folder, 8)) == 0
    both = lines_of(folder / "joined.jsonl")
    assert both[:5] == first
    assert len({row["query_id"] for row in both}) == 8


def test_a_report_of_the_router_that_was_there_goes_with_it(folder: Path) -> None:
    assert main(asking(folder, 5)) == 0
    report = folder / "joined" / "report.html"
    report.write_text("about another pool")
    assert main(asking(folder, 5)) == 0
    assert not report.exists()


def test_pick_only_prints_ids_and_asks_nobody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(folder, "--pick-only", "--n", "4", "--json")) == 0
    picked = json.loads(capsys.readouterr().out)["picked"]
    assert len({each["query_id"] for each in picked}) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["base", "models.yaml", "prompts.jsonl"]


def test_labels_at_hand_do_without_asking(folder: Path, rows: list[Trace]) -> None:
    from penstock.training import write_traces

    write_traces([row for row in rows if row.backend in (NEW, "mid")][:60], folder / "labels.jsonl")
    out = str(folder / "joined")
    command = [
        "onboard",
        str(folder / "base"),
        "--backend",
        NEW,
        "--traces",
        str(folder / "labels.jsonl"),
        "--out",
        out,
    ]
    assert main([*command, "--quiet"]) == 0
    assert load_artefact(folder / "joined")[0].model.joined == {NEW: 30}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--out: expected a folder"),
        (("--out", "x"), "--models: expected models.yaml"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    folder: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(folder, *more)) != 0
    assert said in capsys.readouterr().err


def test_a_backend_that_checks_answers_cannot_join_by_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = MODELS.replace("{type: fake, tier: lrm,", "{type: fake, style: check_draft, tier: lrm,")
    (folder / "models.yaml").write_text(models)
    assert main(asking(folder, 5)) != 0
    assert f"--backend: {NEW} checks the answers of others" in capsys.readouterr().err
