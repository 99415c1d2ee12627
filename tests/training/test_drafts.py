"""Hand-over from traces of it: learned, chosen where it pays and never where it does not, live as replayed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import BackendSpec, Completion, FakeBackend, Price, Query
from penstock.classifiers import load_artefact, save_artefact
from penstock.classifiers.handover import HandOver
from penstock.router import Config, Policy, Pool, Router
from penstock.training import Dataset, Fitted, Replayer, Trace, build_dataset, fit, split_queries
from penstock.training.errors import TraceError
from penstock.training.generate import generate_traces

CHECKER = "lrm~check_draft"
POLICY = Policy(name="auto", lam=30.0)


def rows(*, price: float, n_queries: int = 260) -> list[Trace]:
    """Returns the traces of a demo whose answers of `small` were checked, each at this share of what `lrm@high` takes.

    A right draft stays right. A wrong one is mended where `lrm@high` knows better.
    """
    plain = generate_traces(n_queries=n_queries, seed=3)
    by_query: dict[str, dict[str, Trace]] = {}
    for row in plain:
        by_query.setdefault(row.query_id, {})[row.backend] = row
    checked = []
    for answers in by_query.values():
        draft, better = answers["small"], answers["lrm@high"]
        assert better.cost_usd is not None
        said = draft if draft.score else better
        checked.append(
            replace(said, backend=CHECKER, draft_of="small", cost_usd=better.cost_usd * price, reasoning_tokens=None)
        )
    return [*plain, *checked]


@pytest.fixture(scope="module")
def cheap() -> tuple[Dataset, Fitted]:
    """Where checking costs a tenth of thinking afresh."""
    dataset = build_dataset(rows(price=0.1))
    split = split_queries(dataset, seed=0)
    return dataset.take(split.test), fit(dataset, split, classifier="linear", seed=0)


def with_handover(fitted: Fitted, handover: HandOver | None) -> Fitted:
    escalation = replace(fitted.trained.escalation, handover=handover)
    return replace(fitted, trained=replace(fitted.trained, escalation=escalation))


def paths(dataset: Dataset, fitted: Fitted, policy: Policy = POLICY) -> Counter[str]:
    return Counter(item.outcome.path for item in Replayer(Pool({}, fitted.trained), dataset).run(policy))


def test_answers_to_drafts_are_in_no_matrix_and_kept_by_query() -> None:
    dataset = build_dataset(rows(price=0.1, n_queries=20))
    assert CHECKER not in dataset.backends
    assert [[(row.backend, row.draft_of) for row in found] for found in dataset.checks] == [[(CHECKER, "small")]] * 20
    assert [found[0].query_id for found in dataset.take([3, 1]).checks] == [dataset.query_ids[3], dataset.query_ids[1]]


def test_an_answer_to_a_draft_that_is_not_recorded_is_left_out_and_said_so() -> None:
    traces = [row for row in rows(price=0.1, n_queries=20) if row.backend != "small"]
    dataset = build_dataset(traces)
    assert not any(dataset.checks)
    assert "Answers to drafts left out, since the drafts are not among the graded answers: 20." in dataset.notes


def test_an_answer_to_a_draft_counts_even_if_its_text_is_not_recorded(cheap: tuple[Dataset, Fitted]) -> None:
    dataset = build_dataset([replace(row, response=None) if row.draft_of else row for row in rows(price=0.1)])
    split = split_queries(dataset, seed=0)
    assert paths(dataset.take(split.test), cheap[1])[f"small>{CHECKER}"] > 0


def test_a_scored_answer_of_a_checker_without_its_drafter_is_refused() -> None:
    traces = rows(price=0.1, n_queries=20)
    with pytest.raises(TraceError, match=f"backend '{CHECKER}': column draft_of: missing; expected the backend"):
        build_dataset([*traces[:-1], replace(traces[-1], draft_of="")])


def test_handing_over_is_chosen_where_it_pays(cheap: tuple[Dataset, Fitted]) -> None:
    taken = paths(*cheap)
    assert taken[f"small>{CHECKER}"] > 0.2 * taken.total()
    assert not any(path.startswith(CHECKER) for path in taken)


def test_handing_over_saves_what_thinking_afresh_costs(cheap: tuple[Dataset, Fitted]) -> None:
    dataset, fitted = cheap
    without = replace(POLICY, deny=(CHECKER,))
    replayer = Replayer(Pool({}, fitted.trained), dataset)
    handed, afresh = replayer.outcome(POLICY), replayer.outcome(without)
    worth = [outcome.score.mean() - POLICY.lam * outcome.cost_usd.mean() for outcome in (handed, afresh)]
    assert worth[0] > worth[1]
    assert handed.score.mean() >= afresh.score.mean()


def test_handing_over_is_never_chosen_where_it_does_not_pay(cheap: tuple[Dataset, Fitted]) -> None:
    dataset, fitted = cheap
    known = fitted.trained.escalation.handover
    assert known is not None
    dear = with_handover(fitted, replace(known, ratio=known.ratio * 30))
    assert not any(CHECKER in path for path in paths(dataset, dear))


def test_handing_over_is_never_chosen_where_the_draft_misleads(cheap: tuple[Dataset, Fitted]) -> None:
    dataset, fitted = cheap
    known = fitted.trained.escalation.handover
    assert known is not None
    parrot = with_handover(fitted, replace(known, weights=np.array([[0.0, 1.0, 0.0]])))  # as likely right as its draft
    assert not any(CHECKER in path for path in paths(dataset, parrot))


def test_a_query_whose_answer_was_checked_of_another_backend_only_is_not_handed_over(
    cheap: tuple[Dataset, Fitted],
) -> None:
    dataset, fitted = cheap
    of_mid = tuple(tuple(replace(row, draft_of="mid") for row in found) for found in dataset.checks)
    assert not any(CHECKER in path for path in paths(replace(dataset, checks=of_mid), fitted))


def test_few_answers_to_drafts_teach_nothing_and_that_is_said() -> None:
    traces = rows(price=0.1, n_queries=60)
    few = [row for place, row in enumerate(traces) if not row.draft_of or place % 3 == 0]
    dataset = build_dataset(few)
    fitted = fit(dataset, split_queries(dataset, seed=0), classifier="mean", seed=0)
    assert fitted.trained.escalation.handover is None
    assert "No hand-over is learned: it takes 30 graded answers to one backend's drafts." in fitted.notes


def test_what_was_learned_of_hand_over_survives_the_disk(cheap: tuple[Dataset, Fitted], tmp_path: Path) -> None:
    dataset, fitted = cheap
    save_artefact(fitted.trained, tmp_path / "router", training_data_sha256="", seed=0, metrics={})
    loaded, _ = load_artefact(tmp_path / "router")
    assert paths(dataset, replace(fitted, trained=loaded)) == paths(dataset, fitted)


def test_a_checker_that_no_trace_tells_of_is_never_asked(cheap: tuple[Dataset, Fitted]) -> None:
    dataset, fitted = cheap
    specs = {name: BackendSpec(name=name, type="fake") for name in dataset.backends}
    specs[CHECKER] = BackendSpec(name=CHECKER, type="fake", checks_draft=True)
    pool = Pool(specs, with_handover(fitted, None).trained)
    decision = pool.decide(Query.from_text("What is 17 * 23?"), POLICY)
    assert decision.outlook.checks is None
    assert "excluded: checks the answers of others, and no trace tells how well" in decision.explain()
    assert pool.untrained == ()


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_live_hand_over_takes_the_path_of_its_replay(
    cheap: tuple[Dataset, Fitted], tmp_path: Path, is_streamed: bool
) -> None:
    dataset, fitted = cheap
    dataset = dataset.take(np.arange(20))
    recorded: dict[str, dict[str, Completion]] = {name: {} for name in (*dataset.backends, CHECKER)}
    for row, text in enumerate(dataset.texts):
        for column, name in enumerate(dataset.backends):
            completion = dataset.completion(row, column)
            assert completion is not None
            recorded[name][text] = completion
        (check,) = dataset.checks[row]
        recorded[CHECKER][text] = Completion(
            text=check.response or "", logprobs=check.logprobs, cost_usd=check.cost_usd
        )
    specs = {name: BackendSpec(name=name, type="fake") for name in recorded}
    specs[CHECKER] = replace(specs[CHECKER], checks_draft=True)
    fakes = {
        name: FakeBackend(spec, answer=lambda query, name=name: recorded[name][query.text])  # type: ignore[misc]
        for name, spec in specs.items()
    }
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies={"auto": POLICY}, default_policy="auto", artefact=None
    )
    replayer = Replayer(Pool({}, fitted.trained), dataset)
    run = replayer.run_streamed if is_streamed else replayer.run
    replayed = {item.query: item.outcome for item in run(POLICY)}
    with Router(config, Pool(specs, fitted.trained), backends=fakes) as router:
        for row, text in enumerate(dataset.texts):
            answer = [*router.stream(text)][-1].answer if is_streamed else router.ask(text)
            assert answer is not None
            assert answer.path == replayed[row].path
            assert answer.confidence == pytest.approx(
                replayed[row].step.confidence, abs=1e-6
            )  # of one query or of many
            assert answer.cost_usd == pytest.approx(replayed[row].cost_usd, rel=0.2 if is_streamed else 1e-6)
            for step in answer.steps:
                assert step.draft_of == ("small" if step.backend == CHECKER else None)
    handed = {query.text: query.draft for query in fakes[CHECKER].queries}
    assert handed
    assert handed == {text: recorded["small"][text].text for text in handed}
    assert all(query.draft is None for name in dataset.backends for query in fakes[name].queries)


def test_the_draft_is_part_of_the_expected_cost(cheap: tuple[Dataset, Fitted]) -> None:
    dataset, fitted = cheap
    price = Price(usd_per_1m_input=1e6, usd_per_1m_output=0.0)  # a dollar a token
    specs = {name: BackendSpec(name=name, type="fake", price=price) for name in (*dataset.backends, CHECKER)}
    known = fitted.trained.escalation.handover
    assert known is not None
    longer = with_handover(fitted, replace(known, draft_tokens=known.draft_tokens + 100))
    cost, more = (Pool(specs, each.trained).estimate("What is 17 * 23?").cost_usd for each in (fitted, longer))
    np.testing.assert_allclose(more - cost, [100.0 if name == CHECKER else 0.0 for name in specs])
    drafts = [dataset.completion(row, dataset.backends.index("small")) for row in range(dataset.n_queries)]
    mean = np.mean([len(draft.text) / 4 for draft in drafts if draft])
    assert known.draft_tokens[0] == pytest.approx(mean, rel=0.5)
