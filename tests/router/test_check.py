from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.classifiers import save_artefact
from penstock.router.cli import main
from penstock.router.settings import COLD_START
from penstock.training import build_dataset, fit, split_queries
from penstock.training.generate import generate_traces

from .pieces import write_models

GOOD = """
    default_policy: best
    backends:
      small: {type: fake, answer: ok, price: {input: 0.5, output: 1.25}}
      lrm: {type: fake, efforts: [low, high]}
    """


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns an artefact of the backends lrm@high, lrm@low, mid and small."""
    folder = tmp_path_factory.mktemp("check") / "artefact"
    dataset = build_dataset(generate_traces(n_queries=120, seed=0))
    fitted = fit(dataset, split_queries(dataset, seed=0), classifier="mean")
    save_artefact(fitted.trained, folder, training_data_sha256="0" * 64, seed=0, metrics={})
    return folder


def check(folder: Path, text: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """Returns the exit code and the lines that `penstock check` prints."""
    code = main(["check", str(write_models(folder, text)), *words])
    return code, capsys.readouterr().out.splitlines()


def test_a_good_file_has_a_line_a_backend_and_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = check(tmp_path, GOOD, capsys)
    assert code == 0
    assert lines == [
        "small: fake, $0.5 in, $1.25 out per 1M tokens: ok",
        "lrm@low: fake, no price: ok",
        "lrm@high: fake, no price: ok",
        "policies: auto, frugal, best; default best",
        "no artefact; cold start: quality is guessed from text, tier and price",
    ]


def test_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = check(tmp_path, GOOD, capsys, "--json")
    told = json.loads("\n".join(lines))
    assert code == 0
    assert [row["backend"] for row in told["backends"]] == ["small", "lrm@low", "lrm@high"]
    assert [row["problem"] for row in told["backends"]] == [None, None, None]
    assert told["policies"] == ["auto", "frugal", "best"]
    assert told["problems"] == []


def test_a_price_of_zero_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = check(tmp_path, "backends: {small: {type: fake, price: {input: 0, output: 0}}}", capsys)
    assert code == 0
    assert "free (price 0: cost will never be a reason not to ask it)" in lines[0]


def test_a_wrong_file_is_one_line_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write_models(tmp_path, "backends: {small: {type: opnai}}"))]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("penstock: error: models.yaml: backends.small.type: unknown 'opnai'; expected one of ")
    assert told.err.count("\n") == 1


def test_every_problem_is_told_not_only_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    code, lines = check(
        tmp_path,
        """
        backends:
          keyless: {type: openai, model: m, api_key_env: NO_SUCH_KEY, price: {input: 1, output: 1}}
          lost: {type: replay, traces: absent.jsonl}
          odd: {type: fake, latency_s: -1}
          effortful: {type: anthropic, model: claude-sonnet-4-5, effort: enormous, price: {input: 1, output: 1}}
          fine: {type: fake}
        """,
        capsys,
    )
    assert code == 1
    assert lines[0].endswith(": api_key_env: environment variable NO_SUCH_KEY is not set")
    assert lines[1].endswith(f": traces: no file {tmp_path / 'absent.jsonl'}")
    assert lines[2].endswith(": latency_s: expected seconds from 0")
    assert ": efforts: unknown 'enormous'; expected one of none, minimal, low, " in lines[3]
    assert lines[4].endswith(": ok")


def test_live_asks_every_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "traces.jsonl").write_text(
        '{"query_id": "1", "query": "else", "backend": "recorded", "response": "x"}\n'
    )
    code, lines = check(
        tmp_path,
        """
        backends:
          works: {type: fake, answer: ok}
          recorded: {type: replay, traces: traces.jsonl}
          away: {type: openai, model: m, base_url: "http://127.0.0.1:9/v1", price: {input: 1, output: 1}}
        """,
        capsys,
        "--live",
    )
    assert code == 1
    assert lines[0].endswith(": answered in 0.00 s")
    assert "no recording for the query 'Say ok.'" in lines[1]
    assert lines[2].startswith("away: openai m, $1 in, $1 out per 1M tokens: ")
    assert "127.0.0.1" in lines[2]


def test_without_live_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'backends: {away: {type: openai, model: m, base_url: "http://127.0.0.1:9/v1", price: {input: 1, output: 1}}}'
    assert check(tmp_path, text, capsys)[0] == 0


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("allow: [small], deny: [small]", "no backend is left: small: in deny; lrm@low: not in allow"),
        ("deny: [small, lrm@low]", "no backend is left: small: in deny; lrm@low: in deny"),
        (
            "floor: lrm, deny: [lrm@low]",
            "no backend is left: small: tier small is below the floor lrm; lrm@low: in deny",
        ),
        ("effort: high, deny: [small]", "no backend is left: small: in deny; lrm@low: effort low is not high"),
        ("objective: near_best", "no artefact tells which lam stays within 0.02 of the best backend"),
    ],
)
def test_a_policy_that_can_never_be_served_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str, told: str
) -> None:
    code, lines = check(
        tmp_path,
        f"""
        policies:
          odd: {{{policy}}}
          strict: {{min_quality: 1, max_cost_usd: 1.0e-9, max_latency_s: 0.001, budget: 0}}
        backends:
          small: {{type: fake, tier: small}}
          lrm: {{type: fake, tier: lrm, efforts: [low]}}
        """,
        capsys,
    )
    assert code == 1
    assert lines[-1].startswith(f"policy odd: {told}")
    assert not any(line.startswith("policy strict") for line in lines)


def test_json_tells_every_problem_in_one_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    text = """
        policies: {odd: {deny: [small, fine]}}
        backends:
          small: {type: openai, model: m, api_key_env: NO_SUCH_KEY, price: {input: 1, output: 1}}
          fine: {type: fake}
        traces: {folder: logs, content: hashed, hash_key_env: NO_SUCH_KEY}
        """
    code, lines = check(tmp_path, text, capsys, "--json")
    assert code == 1
    assert json.loads("\n".join(lines))["problems"] == [
        "small: api_key_env: environment variable NO_SUCH_KEY is not set",
        "traces.hash_key_env: the environment variable NO_SUCH_KEY is not set",
        "policy odd: no backend is left: small: in deny; fine: in deny",
    ]


# The artefact


def test_what_a_policy_waits_for_training_to_tell_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "artefact: later\npolicies: {near: {objective: near_best}}\nbackends: {small: {type: fake}}"
    code, lines = check(tmp_path, text, capsys)
    assert code == 0
    assert lines[-1].startswith("policy near: no artefact tells which lam stays within 0.02")


def test_an_artefact_that_does_not_exist_yet_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = check(tmp_path, "artefact: later\nbackends: {small: {type: fake}}", capsys)
    assert code == 0
    assert lines[-1] == f"artefact {tmp_path / 'later'} does not exist yet; {COLD_START}"


def test_backends_on_one_side_only_are_noted(
    tmp_path: Path, artefact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = check(
        tmp_path,
        f"""
        artefact: {artefact}
        backends:
          small: {{type: fake}}
          new: {{type: fake}}
          lrm: {{type: fake, efforts: [low, high]}}
        """,
        capsys,
    )
    assert code == 0
    assert lines[-3].startswith(f"artefact {artefact}: classifier mean, encoder ")
    assert lines[-2:] == [
        "backend new is not in the artefact: its quality is guessed from its tier",
        "backend mid of the artefact is not in models.yaml: it is left out",
    ]


def test_a_damaged_artefact_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    code, lines = check(tmp_path, "artefact: broken\nbackends: {small: {type: fake}}", capsys)
    assert code == 1
    assert lines[-1].startswith(f"{tmp_path / 'broken' / 'manifest.json'}: ")


def test_a_promise_that_the_artefact_does_not_make_is_a_problem(
    tmp_path: Path, artefact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""
    artefact: {artefact}
    policies: {{sure: {{objective: within_of_best}}}}
    backends:
      small: {{type: fake}}
    """
    code, lines = check(tmp_path, text, capsys)
    assert code == 1
    assert lines[-1].startswith("policy sure: margin 0.02, risk 0.05: no such certificate in the artefact")
