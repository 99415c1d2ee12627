from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from penstock.backends import Breaker, ConfigError, Price
from penstock.router import Config, Policy, read_config

from .pieces import write_models

ROOT = Path(__file__).parents[2]
SMALL = "{type: openai, model: m, price: {input: 1, output: 2}}"


def read(folder: Path, text: str) -> Config:
    """Returns the configuration in a text."""
    return read_config(write_models(folder, text))


def refusal(folder: Path, text: str) -> str:
    """Returns why a text is refused, without the file's name, which must be there."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert message.startswith("models.yaml: ")
    assert "\n" not in message
    return message.removeprefix("models.yaml: ")


def backend_refusal(folder: Path, entry: str) -> str:
    """Returns why one entry of `backends` is refused."""
    return refusal(folder, f"backends:\n  small: {entry}\n")


def policy_refusal(folder: Path, entry: str) -> str:
    """Returns why one entry of `policies` is refused."""
    return refusal(folder, f"policies:\n  auto: {entry}\nbackends:\n  small: {SMALL}\n")


# What is read


def test_every_key_of_a_backend_is_read(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        backends:
          small:
            type: openai
            model: qwen2.5-7b-instruct
            base_url: http://localhost:8000/v1/
            api_key_env: SMALL_API_KEY
            tier: small
            effort: low
            price: {input: 0.04, cached_input: 0.01, output: 0.10}
            limits:
              {context_tokens: 32768, max_output_tokens: 4096, concurrency: 8, queue: 0, queue_s: 2, reply_mb: 0.5}
            supports: [tools, vision]
            timeout: {first_token_s: 10, total_s: 60.5}
            retries: 1
            breaker: {failures: 3, rest_s: 0.5}
            headers: {x-team: blue}
        """,
    )
    spec = config.backends["small"]
    assert (spec.name, spec.type, spec.model, spec.tier, spec.effort) == (
        "small",
        "openai",
        "qwen2.5-7b-instruct",
        "small",
        "low",
    )
    assert spec.base_url == "http://localhost:8000/v1"
    assert spec.api_key_env == "SMALL_API_KEY"
    assert spec.price == Price(usd_per_1m_input=0.04, usd_per_1m_output=0.10, usd_per_1m_cached_input=0.01)
    assert (spec.limits.context_tokens, spec.limits.max_output_tokens, spec.limits.concurrency) == (32768, 4096, 8)
    assert spec.supports == {"tools", "vision"}
    assert (spec.limits.queue, spec.limits.queue_s, spec.limits.reply_mb) == (0, 2, 0.5)
    assert (spec.timeout.first_token_s, spec.timeout.total_s) == (10, 60.5)
    assert (spec.retries, spec.breaker) == (1, Breaker(failures=3, rest_s=0.5))
    assert spec.options == {"headers": {"x-team": "blue"}}


def test_anthropic_takes_more_for_what_it_writes_to_its_cache_unless_told_otherwise(tmp_path: Path) -> None:
    given = read(
        tmp_path,
        """
        backends:
          usual: {type: anthropic, model: claude-x, price: {input: 4, output: 1}}
          own: {type: anthropic, model: claude-x, price: {input: 4, output: 1, cache_write: 4, cache_write_1h: 6}}
          other: {type: openai, model: m, price: {input: 4, output: 1}}
        """,
    ).backends
    prices = {name: spec.price for name, spec in given.items()}
    told = {name: p and (p.usd_per_1m_cache_write, p.usd_per_1m_cache_write_1h) for name, p in prices.items()}
    assert told == {"usual": (5, 8), "own": (4, 6), "other": (None, None)}


def test_every_key_of_a_policy_is_read(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        f"""
        policies:
          mine: {{objective: cheapest_above, quality: 0.7, lam: 3, max_cost_usd: 0.01, max_latency_s: 2,
                  min_quality: 0.2, effort: low, allow: [small], deny: [other], max_calls: 2, deadline_s: 9,
                  on_hold: release, speculate: true}}
        backends:
          small: {SMALL}
          other: {SMALL}
        """,
    )
    assert config.default_policy == "mine"
    assert config.policies["mine"] == Policy(
        name="mine",
        objective="cheapest_above",
        quality=0.7,
        lam=3,
        max_cost_usd=0.01,
        max_latency_s=2,
        min_quality=0.2,
        effort="low",
        allow=("small",),
        deny=("other",),
        max_calls=2,
        deadline_s=9,
        on_hold="release",
        speculate=True,
    )


def test_without_policies_there_are_auto_frugal_and_best(tmp_path: Path) -> None:
    config = read(tmp_path, f"backends: {{small: {SMALL}}}")
    assert tuple(config.policies) == ("auto", "frugal", "best")
    assert config.default_policy == "auto"
    assert config.policies["best"].lam == 0


def test_efforts_become_backends_of_their_own_in_order(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        f"""
        backends:
          lrm: {{type: openai, model: o4-mini, efforts: [low, medium, high], price: {{input: 1, output: 4}}}}
          small: {SMALL}
        """,
    )
    assert [(name, spec.name, spec.effort) for name, spec in config.backends.items()] == [
        ("lrm@low", "lrm@low", "low"),
        ("lrm@medium", "lrm@medium", "medium"),
        ("lrm@high", "lrm@high", "high"),
        ("small", "small", None),
    ]


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf"
    (folder / "weights").mkdir(parents=True)
    config = read(
        folder,
        """
        artefact: artefacts/default
        traces: {folder: traces, content: true, max_mb: 1.5, max_files: 3}
        backends:
          here: {type: local, model: weights, price: {input: 0, output: 0}}
          dotted: {type: local, model: ./absent, price: {input: 0, output: 0}}
          hub: {type: local, model: org/name, price: {input: 0, output: 0}}
          one: {type: replay, traces: a.jsonl}
          more: {type: replay, traces: [a.jsonl, /abs/b.jsonl]}
        """,
    )
    assert config.artefact == folder / "artefacts/default"
    assert config.traces.folder == folder / "traces"
    assert (config.traces.content, config.traces.max_mb, config.traces.max_files) == ("on", 1.5, 3)
    models = {name: spec.model for name, spec in config.backends.items()}
    assert models["here"] == str(folder / "weights")
    assert models["dotted"] == str(folder / "absent")
    assert models["hub"] == "org/name"
    assert config.backends["one"].options["traces"] == str(folder / "a.jsonl")
    assert config.backends["more"].options["traces"] == [str(folder / "a.jsonl"), "/abs/b.jsonl"]


def test_a_price_of_zero_is_a_price(tmp_path: Path) -> None:
    config = read(tmp_path, "backends: {small: {type: openai, model: m, price: {input: 0, output: 0}}}")
    assert config.backends["small"].price == Price(usd_per_1m_input=0, usd_per_1m_output=0)


def test_price_auto_looks_the_model_up(tmp_path: Path) -> None:
    config = read(tmp_path, "backends: {mini: {type: openai, model: gpt-4o-mini, price: auto}}")
    price = config.backends["mini"].price
    assert price is not None
    assert 0 < price.usd_per_1m_input < price.usd_per_1m_output


@pytest.mark.parametrize("kind", ["fake", "replay"])
def test_backends_that_call_nobody_need_no_price(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, f"backends: {{small: {{type: {kind}}}}}").backends["small"].price is None


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000), ("1e-2", 0.01), ("2.5E+1", 25), ("7", 7), ("0.5", 0.5)])
def test_numbers_may_be_written_with_an_exponent(tmp_path: Path, text: str, value: float) -> None:
    config = read(tmp_path, f"policies: {{auto: {{lam: {text}}}}}\nbackends: {{small: {SMALL}}}")
    assert config.policies["auto"].lam == value


def test_a_third_partys_backend_and_objective_need_no_change_here(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        policies: {auto: {objective: "penstock.router.objectives.utility:Utility", patience: 3}}
        backends:
          mine: {type: "penstock.backends.fake:FakeBackend", answer: "42", price: {input: 1, output: 1}}
        """,
    )
    assert config.backends["mine"].type == "penstock.backends.fake:FakeBackend"
    assert config.backends["mine"].options == {"answer": "42"}
    assert config.policies["auto"].options == {"patience": 3}


def test_a_third_partys_backend_without_options_table_gets_every_key(tmp_path: Path) -> None:
    entry = '{type: "penstock.backends.rewriting:RewritingBackend", anything: {goes: 1}, price: {input: 1, output: 1}}'
    config = read(tmp_path, f"backends: {{mine: {entry}}}")
    assert config.backends["mine"].options == {"anything": {"goes": 1}}


def test_the_configuration_is_frozen(tmp_path: Path) -> None:
    config = read(tmp_path, f"backends: {{small: {SMALL}}}")
    with pytest.raises(FrozenInstanceError):
        config.default_policy = "best"  # type: ignore[misc]  # the point of the test


def test_anchors_and_merge_keys_may_share_what_backends_have_in_common(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        backends:
          a: &a {type: openai, model: m, price: {input: 1, output: 2}}
          b: {<<: *a, model: n}
        """,
    )
    assert config.backends["b"].model == "n"
    assert config.backends["b"].price == config.backends["a"].price


# The file that comes along


def uncommented(text: str) -> str:
    """Returns the file with its commented-out examples brought to life: comments that look like YAML."""
    lines = []
    for line in text.splitlines():
        body = line.lstrip()
        is_example = body.startswith("#   ") or re.fullmatch(r"# [a-z]+:( \{.*\})?", body)
        lines.append(line.replace("# ", "", 1) if is_example else line)
    return "\n".join(lines)


def test_the_models_yaml_of_the_project_is_valid() -> None:
    config = read_config(ROOT / "models.yaml")
    assert tuple(config.backends) == ("small", "mid", "lrm@low", "lrm@medium", "lrm@high")
    assert tuple(config.policies) == ("auto", "frugal", "fast", "best")
    assert config.artefact == ROOT / "artefacts/default"


def test_the_commented_out_examples_of_models_yaml_are_valid(tmp_path: Path) -> None:
    config = read(tmp_path, uncommented((ROOT / "models.yaml").read_text(encoding="utf-8")))
    assert {"nano", "claude", "thinker@high", "laptop", "gpu"} <= set(config.backends)
    assert config.traces.folder == tmp_path / "traces"


# What is refused: keys


@pytest.mark.parametrize(
    ("text", "where", "allowed"),
    [
        ("polices: {}\nbackends: {}", "polices", "policies"),
        ("backends: {small: {type: fake, modle: m}}", "backends.small.modle", "model"),
        ("backends: {small: {type: fake, headers: {a: b}}}", "backends.small.headers", "latency_s"),
        (
            "backends: {small: {type: fake, price: {input: 1, output: 1, inptu: 1}}}",
            "backends.small.price.inptu",
            "input",
        ),
        ("backends: {small: {type: fake, limits: {context: 1}}}", "backends.small.limits.context", "context_tokens"),
        ("backends: {small: {type: fake, timeout: {total_ms: 1}}}", "backends.small.timeout.total_ms", "total_s"),
        ("policies: {auto: {lambda: 1}}\nbackends: {small: {type: fake}}", "policies.auto.lambda", "lam"),
        ("traces: {path: x}\nbackends: {small: {type: fake}}", "traces.path", "folder"),
        ("verify: {run: true}\nbackends: {small: {type: fake}}", "verify.run", "run_code"),
        ("keys: {path: x}\nbackends: {small: {type: fake}}", "keys.path", "file"),
        ("1: x\nbackends: {small: {type: fake}}", "1", "version"),
        ("on: x\nbackends: {small: {type: fake}}", "True", "version"),
    ],
)
def test_an_unknown_key_is_named_with_those_allowed(tmp_path: Path, text: str, where: str, allowed: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{where}: unknown key; expected one of ")
    assert allowed in message.partition("expected one of ")[2].split(", ")


def test_code_is_run_only_where_models_yaml_says_so(tmp_path: Path) -> None:
    assert not read(tmp_path, "backends: {small: {type: fake}}").run_code
    assert read(tmp_path, "verify: {run_code: true}\nbackends: {small: {type: fake}}").run_code


def test_the_file_of_keys_is_relative_to_models_yaml(tmp_path: Path) -> None:
    assert read(tmp_path, "backends: {small: {type: fake}}").keys is None
    assert read(tmp_path, "keys: {file: k.db}\nbackends: {small: {type: fake}}").keys == tmp_path / "k.db"


@pytest.mark.parametrize("keys", ["{}", "{file: ''}", "{file: null}"])
def test_keys_without_a_file_are_refused(tmp_path: Path, keys: str) -> None:
    assert refusal(tmp_path, f"keys: {keys}\nbackends: {{small: {{type: fake}}}}").startswith("keys.file: ")


def test_an_unknown_type_is_named_with_those_allowed(tmp_path: Path) -> None:
    message = backend_refusal(tmp_path, "{type: opnai, model: m, price: {input: 1, output: 1}}")
    assert message == (
        "backends.small.type: unknown 'opnai'; expected one of openai, anthropic, local, replay, fake,"
        " or package.module:Class"
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{model: m}", "backends.small.type: missing; expected one of openai, "),
        ("null", "backends.small.type: missing; expected one of openai, "),
        ("{type: 'nowhere_at_all:Thing'}", "backends.small.type: cannot load 'nowhere_at_all:Thing': "),
        ("{type: 'json:Nothing'}", "backends.small.type: cannot load 'json:Nothing': "),
        (
            "{type: 'json:dumps'}",
            "backends.small.type: 'json:dumps' is not a class with `complete`, `stream`, `aclose`",
        ),
        ("{type: 'json:JSONDecoder'}", "backends.small.type: 'json:JSONDecoder' is not a class with `complete`, "),
        ("{type: ':Thing'}", "backends.small.type: unknown ':Thing'; expected one of "),
        ("{type: '.here:Thing'}", "backends.small.type: unknown '.here:Thing'; expected one of "),
        ("{type: 5}", "backends.small.type: expected a text, got 5; put it in quotes"),
        ("{type: openai, price: auto}", "backends.small.model: missing; expected a text"),
        ("{type: openai, model: '', price: auto}", "backends.small.model: expected a text"),
        ("text", "backends.small: expected a mapping, got a text"),
        ("[1]", "backends.small: expected a mapping, got a list"),
    ],
)
def test_a_backend_without_a_usable_type_or_model_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    assert backend_refusal(tmp_path, entry).startswith(expected)


@pytest.mark.parametrize("text", ["{}", "version: 1", "backends:", "backends: {}"])
def test_a_file_without_backends_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == "backends: missing; expected at least one entry, name: {...}"


def test_a_list_of_backends_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "backends: [a]") == "backends: expected a mapping, got a list"


@pytest.mark.parametrize("version", ["2", "0", "'1'", "1.0", "true"])
def test_an_unknown_version_is_refused(tmp_path: Path, version: str) -> None:
    message = refusal(tmp_path, f"version: {version}\nbackends: {{small: {SMALL}}}")
    assert message.startswith("version: ")
    assert "1" in message.partition("expected")[2]


# What is refused: prices


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("", "price: missing; expected {input: ..., output: ...} in USD per 1M tokens, or `auto`"),
        ("price: free", "price: got 'free'; expected {input: ..., output: ...} in USD per 1M tokens, or `auto`"),
        ("price: 3", "price: got 3; expected {input: ..., output: ...} in USD per 1M tokens, or `auto`"),
        ("price: {input: 1}", "price.output: missing; expected a number from 0"),
        ("price: {input: 1, output: -1}", "price.output: expected a number from 0, got -1"),
        ("price: {input: .nan, output: 1}", "price.input: expected a number from 0, got nan"),
        ("price: {input: .inf, output: 1}", "price.input: expected a number from 0, got inf"),
        ("price: {input: '0.04', output: 1}", "price.input: expected a number from 0, got '0.04'"),
        ("price: {input: $1, output: 1}", "price.input: expected a number from 0, got '$1'"),
        ("price: {input: true, output: 1}", "price.input: expected a number from 0, got True"),
        ("price: {input: 1, output: [1]}", "price.output: expected a number from 0, got [1]"),
        ("price: {input: 1, output: 1, cached_input: -1}", "price.cached_input: expected a number from 0, got -1"),
    ],
)
def test_a_wrong_price_is_refused(tmp_path: Path, price: str, expected: str) -> None:
    assert backend_refusal(tmp_path, f"{{type: openai, model: m, {price}}}") == f"backends.small.{expected}"


@pytest.mark.parametrize("digits", ["1" + "0" * 400, "0x" + "f" * 8000, "1" + "0" * 9000])
def test_a_number_past_all_bounds_is_refused_briefly(tmp_path: Path, digits: str) -> None:
    message = backend_refusal(tmp_path, f"{{type: openai, model: m, price: {{input: {digits}, output: 1}}}}")
    assert len(message) < 250


def test_price_auto_of_an_unknown_model_says_what_to_write(tmp_path: Path) -> None:
    message = backend_refusal(tmp_path, "{type: openai, model: no-such-model-at-all, price: auto}")
    assert message.startswith("backends.small.price: no price is known for model 'no-such-model-at-all'")
    assert "{input, output}" in message


# What is refused: names


@pytest.mark.parametrize(
    "name", ["'a@b'", "'a>b'", "'a b'", "'a,b'", "'a!'", "'*'", "''", "5", "'é'", '"a\\nb"', "null"]
)
def test_a_name_that_could_not_stand_in_a_path_or_header_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path, f"backends: {{{name}: {SMALL}}}")
    assert message.startswith("backends: ")
    assert message.endswith("is not a name; expected letters, digits and the signs . _ - : / +")


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"backends:\n  small: {SMALL}\n  small: {SMALL}\n")
    assert message == "line 3: the key 'small' appears twice"


def test_an_effort_given_twice_is_refused(tmp_path: Path) -> None:
    entry = "{type: openai, model: m, efforts: [low, low], price: {input: 1, output: 1}}"
    assert backend_refusal(tmp_path, entry) == "backends.small.efforts: names one twice"


def test_an_expanded_effort_cannot_clash_with_another_name(tmp_path: Path) -> None:
    entry = "{type: openai, model: m, efforts: [low], price: {input: 1, output: 1}}"
    assert "'lrm@low' is not a name" in refusal(tmp_path, f"backends:\n  lrm: {entry}\n  lrm@low: {SMALL}\n")


def test_a_policy_named_like_a_backend_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"policies: {{small: {{lam: 1}}}}\nbackends: {{small: {SMALL}}}")
    assert message.startswith("policies.small: a backend has the same name")


@pytest.mark.parametrize(("key", "value"), [("effort", "off"), ("effort", "no"), ("effort", "1024")])
def test_an_effort_that_yaml_does_not_read_as_text_wants_quotes(tmp_path: Path, key: str, value: str) -> None:
    message = backend_refusal(tmp_path, f"{{type: openai, model: m, {key}: {value}, price: {{input: 1, output: 1}}}}")
    assert message.startswith("backends.small.effort: expected a text, got ")
    assert message.endswith("; put it in quotes")


def test_efforts_that_yaml_does_not_read_as_text_want_quotes(tmp_path: Path) -> None:
    message = backend_refusal(tmp_path, "{type: openai, model: m, efforts: [low, off], price: {input: 1, output: 1}}")
    assert message == "backends.small.efforts: expected a list of texts, one is true or false; put it in quotes"


def test_an_effort_that_is_no_name_is_refused(tmp_path: Path) -> None:
    message = backend_refusal(tmp_path, "{type: openai, model: m, efforts: ['a>b'], price: {input: 1, output: 1}}")
    assert message.startswith("backends.small.efforts: 'a>b' is not a name")


def test_both_effort_and_efforts_are_refused(tmp_path: Path) -> None:
    entry = "{type: openai, model: m, effort: low, efforts: [low], price: {input: 1, output: 1}}"
    assert backend_refusal(tmp_path, entry) == "backends.small.effort: give either `effort` or `efforts`"


# What is refused: other values of a backend


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("tier: big", "tier: unknown 'big'; expected one of small, mid, lrm"),
        ("tier: [small]", "tier: unknown ['small']; expected one of small, mid, lrm"),
        ("supports: [tools, audio]", "supports: unknown 'audio'; expected some of tools, json_schema, logprobs, "),
        ("supports: tools", "supports: expected a list of texts, got a text"),
        ("supports: [tools, tools]", "supports: names one twice"),
        ("limits: {context_tokens: 0}", "limits.context_tokens: expected a whole number of 1 or more, got 0"),
        ("limits: {context_tokens: 8k}", "limits.context_tokens: expected a whole number of 1 or more, got '8k'"),
        ("limits: {concurrency: 1.5}", "limits.concurrency: expected a whole number of 1 or more, got 1.5"),
        ("limits: {concurrency: true}", "limits.concurrency: expected a whole number of 1 or more, got True"),
        ("limits: 5", "limits: expected a mapping, got 5"),
        ("limits: {queue: -1}", "limits.queue: expected a whole number of 0 or more, got -1"),
        ("limits: {queue_s: 0}", "limits.queue_s: expected a number above 0, got 0"),
        ("retries: -1", "retries: expected a whole number of 0 or more, got -1"),
        ("breaker: {rest_s: 0}", "breaker.rest_s: expected a number above 0, got 0"),
        ("timeout: {total_s: 0}", "timeout.total_s: expected a number above 0, got 0"),
        ("timeout: {total_s: 10s}", "timeout.total_s: expected a number above 0, got '10s'"),
        ("timeout: 10", "timeout: expected a mapping, got 10"),
        ("base_url: localhost:8000", "base_url: expected an address such as https://"),
        ("base_url: 'ftp://host/v1'", "base_url: expected an address such as https://"),
        ("base_url: 'http://'", "base_url: expected an address such as https://"),
        ("base_url: 'http://host:99999/v1'", "base_url: expected an address such as https://"),
        ("base_url: 'http://[::1/v1'", "base_url: expected an address such as https://"),
    ],
)
def test_a_wrong_value_of_a_backend_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    message = backend_refusal(tmp_path, f"{{type: openai, model: m, price: {{input: 1, output: 1}}, {entry}}}")
    assert message.startswith(f"backends.small.{expected}")


@pytest.mark.parametrize("value", ["sk-live-123", "$OPENAI_API_KEY", "9ABC"])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    entry = f"{{type: openai, model: m, price: {{input: 1, output: 1}}, api_key_env: {value}}}"
    message = backend_refusal(tmp_path, entry)
    assert message.startswith("backends.small.api_key_env: expected the name of an environment variable")
    assert value not in message


def test_a_password_in_a_wrong_address_is_not_repeated(tmp_path: Path) -> None:
    entry = "{type: openai, model: m, price: {input: 1, output: 1}, base_url: 'me:s3cret@host/v1'}"
    assert "s3cret" not in backend_refusal(tmp_path, entry)


def test_traces_that_are_no_paths_are_left_for_the_backend_to_refuse(tmp_path: Path) -> None:
    config = read(tmp_path, "backends: {r: {type: replay, traces: [1]}, n: {type: replay, traces: null}}")
    assert config.backends["r"].options == {"traces": [1]}
    assert config.backends["n"].options == {}


def test_more_backends_than_anybody_has_are_refused(tmp_path: Path) -> None:
    entries = "\n".join(f"  b{number}: {{type: fake}}" for number in range(501))
    assert refusal(tmp_path, f"backends:\n{entries}\n") == "backends: 501 are too many; expected at most 500"


# What is refused: policies


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{objective: best}",
            "objective: unknown 'best'; expected one of utility, near_best, cheapest_above, within_of_best, "
            "or package.module:Class",
        ),
        ("{objective: 'json:dumps'}", "objective: 'json:dumps' is not a class with `start`, `escalate`"),
        ("{objective: 'nowhere_at_all:X'}", "objective: cannot load 'nowhere_at_all:X'"),
        ("{lam: -1}", "lam: expected a number from 0, got -1"),
        ("{lam: .inf}", "lam: expected a number from 0, got inf"),
        ("{lam: much}", "lam: expected a number from 0, got 'much'"),
        ("{quality: 80}", "quality: expected a number from 0 to 1, got 80"),
        ("{min_quality: 1.1}", "min_quality: expected a number from 0 to 1, got 1.1"),
        ("{max_cost_usd: 0}", "max_cost_usd: expected a number above 0, got 0"),
        ("{max_latency_s: 3s}", "max_latency_s: expected a number above 0, got '3s'"),
        ("{deadline_s: 0}", "deadline_s: expected a number above 0, got 0"),
        ("{on_hold: keep}", "on_hold: unknown 'keep'; expected one of buffer, release"),
        ("{max_calls: 0}", "max_calls: expected a whole number of 1 or more, got 0"),
        ("{allow: [smal]}", "allow: unknown backend 'smal'; expected some of small"),
        ("{deny: [smal]}", "deny: unknown backend 'smal'; expected some of small"),
        ("{deny: ['*']}", "deny: unknown backend '*'; expected some of small"),
        ("{allow: small}", "allow: expected a list of texts, got a text"),
        ("{allow: []}", "allow: allows nobody; expected some of small"),
        ("{effort: off}", "effort: expected a text, got true or false; put it in quotes"),
        ("5", "expected a mapping, got 5"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    message = policy_refusal(tmp_path, entry)
    assert message.removeprefix("policies.auto").lstrip(".: ").startswith(expected)
    assert message.startswith("policies.auto")


def test_allowing_an_expanded_backend_by_its_short_name_lists_the_real_ones(tmp_path: Path) -> None:
    text = """
        policies: {auto: {allow: [lrm]}}
        backends: {lrm: {type: openai, model: m, efforts: [low, high], price: {input: 1, output: 1}}}
        """
    assert refusal(tmp_path, text) == "policies.auto.allow: unknown backend 'lrm'; expected some of lrm@low, lrm@high"


def test_an_unknown_default_policy_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"default_policy: atuo\nbackends: {{small: {SMALL}}}")
    assert message == "default_policy: unknown 'atuo'; expected one of auto, frugal, best"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("folder: 5", "traces.folder: expected a text, got 5; put it in quotes"),
        ("content: 'yes'", "traces.content: unknown 'yes'; expected one of off, hashed, on"),
        (
            "content: hashed",
            "traces.hash_key_env: expected with `content: hashed`, and only there: the variable with its key",
        ),
        (
            "hash_key_env: KEY",
            "traces.hash_key_env: expected with `content: hashed`, and only there: the variable with its key",
        ),
        ("redact: [patterns]", "traces.redact: there is nothing to take out with `content: off`"),
        (
            "content: on, redact: [names]",
            "traces.redact: unknown 'names'; expected one of patterns, or package.module:function",
        ),
        ("max_mb: 0", "traces.max_mb: expected a number above 0, got 0"),
        ("max_files: 0", "traces.max_files: expected a whole number of 1 or more, got 0"),
    ],
)
def test_a_wrong_trace_log_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    assert refusal(tmp_path, f"traces: {{{entry}}}\nbackends: {{small: {SMALL}}}") == expected


# Samples


def test_samples_make_numbered_backends_of_one_entry(tmp_path: Path) -> None:
    entry = "{type: fake, samples: 2, efforts: [low, high], price: {input: 1, output: 2}}"
    made = read(tmp_path, f"backends:\n  lrm: {entry}\n").backends
    assert {name: spec.draw for name, spec in made.items()} == {
        "lrm@low": 0, "lrm@low#2": 1, "lrm@high": 0, "lrm@high#2": 1
    }  # fmt: skip
    assert made["lrm@low#2"].price == made["lrm@low"].price


@pytest.mark.parametrize("samples", ["0", "10", "two"])
def test_an_odd_number_of_samples_is_refused(tmp_path: Path, samples: str) -> None:
    assert refusal(tmp_path, f"backends: {{small: {{type: fake, samples: {samples}}}}}").startswith(
        "backends.small.samples: "
    )


# Prompt styles


def names(folder: Path, entry: str) -> dict[str, str]:
    """Returns the instruction of each backend that one entry makes."""
    config = read(folder, f"backends:\n  small: {{type: fake, {entry}}}\n")
    return {name: spec.instruction for name, spec in config.backends.items()}


def test_styles_make_a_backend_each_and_plain_keeps_the_name(tmp_path: Path) -> None:
    made = names(tmp_path, "styles: [plain, draft, budget-50, {brief: Be brief.}]")
    assert list(made) == ["small", "small~draft", "small~budget-50", "small~brief"]
    assert (made["small"], made["small~brief"]) == ("", "Be brief.")
    assert "50 tokens" in made["small~budget-50"]


def test_the_style_that_checks_drafts_marks_its_backends(tmp_path: Path) -> None:
    config = read(tmp_path, "backends:\n  small: {type: fake, styles: [plain, check_draft], efforts: [low, high]}\n")
    assert {name: spec.checks_draft for name, spec in config.backends.items()} == {
        "small@low": False,
        "small@high": False,
        "small~check_draft@low": True,
        "small~check_draft@high": True,
    }


def test_styles_and_efforts_go_together(tmp_path: Path) -> None:
    made = names(tmp_path, "styles: [plain, draft], efforts: [low, high]")
    assert list(made) == ["small@low", "small@high", "small~draft@low", "small~draft@high"]


def test_one_style_keeps_the_name(tmp_path: Path) -> None:
    assert names(tmp_path, "style: {brief: Be brief.}") == {"small": "Be brief."}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("style: terse", "style: unknown 'terse'; expected one of plain, direct, draft, check_draft, budget-N for N"),
        ("styles: draft", "styles: expected a list of plain, direct"),
        ("styles: []", "styles: expected a list of plain, direct"),
        ("styles: [draft, draft]", "styles: names one twice"),
        ("styles: [{draft: Be brief.}]", "styles: draft is built in; give an instruction of your own another name"),
        ("styles: [{a b: Be brief.}]", "styles: unknown {'a b': 'Be brief.'}; expected"),
        ("styles: [{brief: ''}]", "styles: unknown {'brief': ''}; expected"),
        ("style: draft, styles: [plain]", "style: give either `style` or `styles`"),
    ],
)
def test_wrong_styles_are_told(tmp_path: Path, entry: str, said: str) -> None:
    assert backend_refusal(tmp_path, f"{{type: fake, {entry}}}").startswith(f"backends.small.{said}")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{share: 2, max_usd_per_day: 1}", "shadow.share: expected a number from 0 to 1, got 2"),
        ("{share: 0.1}", "shadow.max_usd_per_day: missing; expected a number above 0"),
        ("{max_usd_per_day: 1}", "shadow.share: missing; expected a number from 0 to 1"),
        (
            "{share: 0.1, max_usd_per_day: 1, backends: [huge]}",
            "shadow.backends: unknown backend 'huge'; expected some of small",
        ),
        (
            "{share: 0.1, max_usd_per_day: 1, epsilon: 1}",
            "shadow.epsilon: unknown key; expected one of share, max_usd_per_day, backends, concurrency",
        ),
    ],
)
def test_a_wrong_shadow_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    text = f"traces: {{folder: log}}\nshadow: {entry}\nbackends: {{small: {SMALL}}}"
    assert refusal(tmp_path, text) == expected


def test_a_shadow_without_a_log_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"shadow: {{share: 0.1, max_usd_per_day: 1}}\nbackends: {{small: {SMALL}}}")
    assert message == "shadow.share: its answers go to the trace log only; expected `traces: {folder: ...}` too"
