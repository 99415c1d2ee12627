"""The report: it stands alone, escapes what users wrote, and holds for every shape of data."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.training.bootstrap import Interval
from penstock.training.commands.evaluate import figures_of
from penstock.training.curves import baseline_curves, sweep_lams
from penstock.training.evaluation import Confidences, Curve, Evaluation, PolicyOutcome, SignalWorth, Trial
from penstock.training.findings import findings
from penstock.training.markup import Markup, escaped, excerpt, number, per_cent, table, usd_per_1k, with_interval
from penstock.training.report import render_report, write_report
from penstock.training.report_breakdowns import backends_table, tasks_table
from penstock.training.report_strategies import comparison_table, policies_table

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would see of a page: tags, attributes and text; fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.rows = 0
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def made(n_queries: int = 40, n_backends: int = 3, *, missing: float = 0.0, seed: int = 0) -> Evaluation:
    """An evaluation of made-up answers: dearer backends are better, and estimates know a little."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(n_queries)
    skill = np.linspace(0.4, 1.0, n_backends)
    chance = np.clip(skill - 0.4 * difficulty[:, np.newaxis], 0.02, 0.98)
    quality = (rng.random((n_queries, n_backends)) < chance).astype(np.float64)
    cost = np.geomspace(1e-6, 1e-3, n_backends) * rng.uniform(0.5, 1.5, (n_queries, n_backends))
    estimate = np.clip(chance + rng.normal(0, 0.05, chance.shape), 0, 1)
    estimated_cost = np.tile(cost.mean(axis=0), (n_queries, 1))
    hidden = rng.random(quality.shape) < missing
    hidden[:, 0] = False
    quality[hidden] = cost[hidden] = math.nan
    rows = np.arange(n_queries)
    lams = sweep_lams(estimate, estimated_cost, 12)
    chosen = [(estimate - lam * estimated_cost).argmax(axis=1) for lam in lams]
    names = tuple(f"backend-{column}" for column in range(n_backends))
    router = Curve(
        name="router",
        labels=tuple(f"lam={lam:.3g}" for lam in lams),
        cost_usd=np.array([cost[rows, columns] for columns in chosen]),
        score=np.array([quality[rows, columns] for columns in chosen]),
    )
    middle = chosen[len(chosen) // 2]
    score = quality[rows, middle]
    policy = PolicyOutcome(
        policy="auto",
        backend=tuple(names[column] for column in middle),
        cost_usd=cost[rows, middle],
        score=score,
        n_calls=np.ones(n_queries, dtype=np.int64),
    )
    return Evaluation(
        title="made-up",
        split="test",
        query_ids=tuple(f"q{row}" for row in rows),
        queries=tuple(f"query number {row}" for row in rows),
        tasks=tuple("even" if row % 2 == 0 else "odd" for row in rows),
        backends=names,
        quality=quality,
        cost_usd=cost,
        estimated_quality=estimate,
        estimated_cost_usd=estimated_cost,
        difficulty=difficulty,
        curves=(router, *baseline_curves(quality, cost, quality, cost)),
        policies=(policy,),
        confidences=Confidences(
            backend=policy.backend, confidence=estimate[rows, middle], score=np.nan_to_num(score), query=rows
        ),
        trials=(
            Trial(name="ridge", metric="validation AIQ", value=0.61, low=0.58, high=0.64, fit_s=0.2, is_chosen=False),
            Trial(name="trees", metric="validation AIQ", value=0.63, low=0.6, high=0.66, fit_s=3.0, is_chosen=True),
        ),
        notes=("Costs were estimated.",),
    )


def test_report_runs_nothing_and_fetches_nothing() -> None:
    page = Page(render_report(made()))
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(page.tags)
    assert not [
        pair for pair in page.attributes if pair[0] in ("src", "href", "xlink:href", "srcset") or pair[0][:2] == "on"
    ]
    assert not [value for name, value in page.attributes if "://" in value and not name.startswith("xmlns")]


def test_report_has_no_two_elements_of_one_id() -> None:
    ids = Page(render_report(made())).ids
    assert len(ids) >= 4
    assert len(ids) == len(set(ids))


def test_report_escapes_everything_that_users_wrote() -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>&\"'</td></table>]]>\x00\ud800"
    clean = made(12, 2)
    names = (attack, attack + "2")
    evaluation = replace(
        clean,
        title=attack,
        split=attack,
        queries=(attack,) * 12,
        tasks=(attack,) * 12,
        backends=names,
        curves=(
            replace(clean.curves[0], name=attack, labels=(attack,) * len(clean.curves[0].labels)),
            *clean.curves[1:],
        ),
        policies=(replace(clean.policies[0], policy=attack, backend=names * 6),),
        trials=(replace(clean.trials[0], name=attack, metric=attack, note=attack),),
        notes=(attack,),
    )
    page = Page(render_report(evaluation))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count("<script>alert(1)</script>") > 10


def test_report_shows_every_part() -> None:
    text = Page(render_report(made())).text
    for part in (
        "Summary",
        "router",
        "mean-score",
        "random mix",
        "always-cheapest (backend-0)",
        "oracle",
        "even",
        "odd",
    ):
        assert part in text
    for part in ("trees (chosen)", "Costs were estimated.", "AUROC", "query number", "gap closed", "arXiv:2403.12031"):
        assert part in text


def test_report_shows_what_each_signal_adds_where_the_router_was_trained_just_now() -> None:
    worth = SignalWorth(name="arithmetic", share=0.5, auroc=0.8, auroc_without=0.75)
    told = render_report(replace(made(), signals=(worth,)))
    assert "arithmetic" in told
    assert "+0.050" in told
    assert "AUROC without it" not in render_report(made())


def test_report_of_two_backends_tells_apgr_and_of_three_does_not() -> None:
    assert "Two backends" in render_report(made(n_backends=2))
    assert "Two backends" not in render_report(made(n_backends=3))


@pytest.mark.parametrize(
    "evaluation",
    [
        made(1, 1),
        made(1, 2),
        made(2, 2),
        made(7, 43),
        made(60, 4, missing=0.6),
        made(5, 3, missing=1.0),
        replace(made(), curves=()),
        replace(made(), policies=()),
        replace(made(), confidences=None, trials=(), notes=(), tasks=("",) * 40, difficulty=np.full(40, math.nan)),
        replace(made(), quality=np.ones((40, 3))),
        replace(made(), quality=np.zeros((40, 3))),
        replace(made(), estimated_quality=np.full((40, 3), math.nan)),
    ],
    ids=[
        "one-cell",
        "one-query",
        "two-queries",
        "many-backends",
        "missing",
        "all-but-one-missing",
        "no-curves",
        "no-policies",
        "bare",
        "all-right",
        "all-wrong",
        "no-estimates",
    ],
)
def test_report_holds_for_every_shape_of_data(evaluation: Evaluation) -> None:
    page = Page(render_report(evaluation))
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    assert not [value for name, value in page.attributes if name in ("d", "cx", "cy", "x", "y") and "nan" in value]


@pytest.mark.parametrize("cost_of_all", [0.0, 1e-4])
def test_report_holds_when_all_backends_cost_the_same(cost_of_all: float) -> None:
    evaluation = made()
    cost = np.full(evaluation.cost_usd.shape, cost_of_all)
    free = replace(evaluation.curves[0], cost_usd=np.full(evaluation.curves[0].cost_usd.shape, cost_of_all))
    outcome = replace(evaluation.policies[0], cost_usd=np.full(40, cost_of_all))
    page = Page(render_report(replace(evaluation, cost_usd=cost, curves=(free,), policies=(outcome,))))
    assert not re.search(r"\b(nan|inf)\b", page.text)


def test_report_without_a_single_observation_is_refused() -> None:
    evaluation = made(3, 2)
    empty = np.full((3, 2), math.nan)
    with pytest.raises(ValueError, match="no backend has both"):
        render_report(replace(evaluation, quality=empty, cost_usd=empty))


def test_comparison_shows_a_strategy_at_its_best_point_within_the_budget_of_the_best_backend() -> None:
    evaluation = made()
    single = findings(evaluation).single
    high = single.high_usd
    points = (0.5 * high, 0.9 * high, 2 * high)
    curve = Curve(
        name="router",
        labels=("a", "b", "c"),
        cost_usd=np.array([np.full(40, cost) for cost in points]),
        score=np.array([np.full(40, score) for score in (0.3, 0.6, 1.0)]),
    )
    shown = findings(replace(evaluation, curves=(curve,))).strategies[0]
    assert shown.score.value == pytest.approx(0.6)
    assert shown.cost_usd == pytest.approx(0.9 * high)


def test_oracle_in_the_comparison_scores_what_hindsight_does() -> None:
    evaluation = made()
    oracle = findings(evaluation).strategies[-1]
    assert oracle.name == "oracle"
    assert oracle.score.value == pytest.approx(evaluation.quality.max(axis=1).mean())
    assert oracle.saving_at_best is not None
    assert 0 < oracle.saving_at_best.value < 1


def test_summary_calls_a_gain_better_than_mixing_only_beyond_chance() -> None:
    evaluation = made(300, 2)
    best = evaluation.quality.max(axis=1)
    is_enough = evaluation.quality[:, 0] >= evaluation.quality[:, 1]
    cheap = np.where(is_enough, evaluation.cost_usd[:, 0], evaluation.cost_usd[:, 1])
    hindsight = replace(evaluation.curves[0], labels=("one",), cost_usd=cheap.reshape(1, -1), score=best.reshape(1, -1))
    mix = replace(evaluation.curves[3], name="router")
    assert "better than mixing by more than chance" in render_report(replace(evaluation, curves=(hindsight,)))
    assert "cannot be told from mixing" in render_report(replace(evaluation, curves=(mix,)))


def test_few_queries_are_said_to_make_rough_intervals() -> None:
    assert "the intervals are rough" in render_report(made(20))
    assert "the intervals are rough" not in render_report(made(80))


def test_plot_labels_few_of_many_backends_and_names_all_on_hovering() -> None:
    page = render_report(made(10, 43))
    plot = page[page.index('id="chart-cost-quality"') : page.index("</figure>")]
    labels = re.findall(r"<text[^>]*text-anchor=[^>]*>backend-\d+</text>", plot)
    assert 1 <= len(labels) <= 14
    assert len(set(re.findall(r"<title>(backend-\d+):", plot))) == 43


def test_written_report_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(made(), path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    empty = np.full((3, 2), math.nan)
    with pytest.raises(ValueError, match="no backend"):
        write_report(replace(made(3, 2), quality=empty), path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_same_evaluation_gives_the_same_report() -> None:
    assert render_report(made()) == render_report(made())


def test_table_escapes_text_and_keeps_markup() -> None:
    made_table = table(("<h>",), [("<b>",), (Markup("<i>safe</i>"),)])
    assert "&lt;h&gt;" in made_table
    assert "&lt;b&gt;" in made_table
    assert "<i>safe</i>" in made_table


def test_excerpt_is_one_line_of_at_most_200_characters() -> None:
    assert excerpt("a\n b") == "a b"
    assert len(excerpt("x" * 5000)) == 200
    assert excerpt("<" * 300).startswith("&lt;&lt;")


def test_numbers_are_shown_without_exponent_nan_or_negative_zero() -> None:
    assert number(-1e-9) == "0.000"
    assert number(-0.5, 1) == "−0.5"
    assert number(math.nan) == per_cent(math.nan) == usd_per_1k(math.nan) == "–"
    assert usd_per_1k(0.0) == "0"
    assert usd_per_1k(1e-10) == "0.00000010"
    assert with_interval(Interval(value=0.5, low=math.nan, high=math.nan)) == "0.500"
    assert escaped("a<b") == "a&lt;b"


def test_queries_that_a_policy_refused_are_no_answers_of_a_backend_without_a_name() -> None:
    evaluation = made()
    policy = evaluation.policies[0]
    refused = np.arange(40) < 10
    half = replace(
        policy,
        backend=tuple("" if is_refused else "backend-1" for is_refused in refused),
        cost_usd=np.where(refused, math.nan, policy.cost_usd),
        score=np.where(refused, math.nan, policy.score),
        n_calls=np.where(refused, 0, 2),
    )
    none = replace(half, policy="never", backend=("",) * 40, n_calls=np.zeros(40, dtype=np.int64))
    text = policies_table(replace(evaluation, policies=(half, none)), findings(evaluation))
    assert "backend-1 100" in text
    assert "refused 10" in text
    assert "refused 40" in text
    assert "<td>2.00</td><td>100" in text  # calls and escalations of the queries that were answered


def test_where_answers_are_missing_the_summary_says_how_rough_the_comparison_is() -> None:
    told = "measured on different queries"
    assert told in render_report(made(60, 4, missing=0.6))
    assert told not in render_report(made(60, 4))


def test_one_query_and_one_backend_are_not_several() -> None:
    assert "1 query and 1 backend, every answer observed" in render_report(made(1, 1))


def with_twins(evaluation: Evaluation) -> Evaluation:
    """Returns the evaluation of every query and a twin of it."""
    confidences = evaluation.confidences
    assert confidences is not None
    assert confidences.query is not None
    return replace(
        evaluation,
        query_ids=tuple(f"{query_id} {again}" for query_id in evaluation.query_ids for again in (0, 1)),
        queries=tuple(query for query in evaluation.queries for _ in (0, 1)),
        tasks=tuple(task for task in evaluation.tasks for _ in (0, 1)),
        quality=np.repeat(evaluation.quality, 2, axis=0),
        cost_usd=np.repeat(evaluation.cost_usd, 2, axis=0),
        estimated_quality=np.repeat(evaluation.estimated_quality, 2, axis=0),
        estimated_cost_usd=np.repeat(evaluation.estimated_cost_usd, 2, axis=0),
        difficulty=np.repeat(evaluation.difficulty, 2),
        curves=tuple(
            replace(curve, cost_usd=np.repeat(curve.cost_usd, 2, axis=1), score=np.repeat(curve.score, 2, axis=1))
            for curve in evaluation.curves
        ),
        policies=tuple(
            replace(
                policy,
                backend=tuple(name for name in policy.backend for _ in (0, 1)),
                cost_usd=np.repeat(policy.cost_usd, 2),
                score=np.repeat(policy.score, 2),
                n_calls=np.repeat(policy.n_calls, 2),
            )
            for policy in evaluation.policies
        ),
        confidences=replace(
            confidences,
            backend=tuple(name for name in confidences.backend for _ in (0, 1)),
            confidence=np.repeat(confidences.confidence, 2),
            score=np.repeat(confidences.score, 2),
            query=np.arange(2 * len(confidences.query)),
        ),
        families=np.repeat(np.arange(len(evaluation.queries)), 2),
    )


def test_twins_make_no_interval_of_a_report_narrower() -> None:
    once = made()
    twice = with_twins(once)
    alone, beside = figures_of(once), figures_of(twice)
    for part in ("curves", "policies", "estimates", "confidences"):
        assert _numbers(beside[part]) == pytest.approx(_numbers(alone[part]), nan_ok=True)
    found, found_twice = findings(once), findings(twice)
    assert comparison_table(found_twice) == comparison_table(found)
    assert policies_table(twice, found_twice) == policies_table(once, found)
    counts = re.compile(r"<td[^>]*>[\d,]+</td>")
    for of in (backends_table, tasks_table):
        assert counts.sub("", of(twice, found_twice)) == counts.sub("", of(once, found))


def _numbers(figures: Any) -> list[float]:
    """Returns all numbers in a nest of dictionaries."""
    if isinstance(figures, dict):
        return [number for each in figures.values() for number in _numbers(each)]
    return [math.nan if figures is None else float(figures)]
