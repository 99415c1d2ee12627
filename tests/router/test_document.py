from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.backends import ConfigError
from penstock.router import read_config


def refusal(path: Path, data: bytes | str) -> str:
    """Returns why a file with this content is refused."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert "models.yaml" in message
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.yaml"


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\.yaml: cannot be read: No such file"):
        read_config(path)


def test_a_folder_is_no_file(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match=r"models\.yaml: cannot be read: Is a directory"):
        read_config(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_file_without_permission_is_named(path: Path) -> None:
    path.write_text("backends: {}")
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        read_config(path)


@pytest.mark.parametrize("data", ["", "\n\n", "# only a comment\n", "---\n", "null"])
def test_an_empty_file_is_told_what_is_expected(path: Path, data: str) -> None:
    assert refusal(path, data) == "models.yaml: expected a mapping with the key `backends`, got nothing"


@pytest.mark.parametrize(("data", "kind"), [("hello", "a text"), ("- a\n- b", "a list"), ("5", "5")])
def test_a_document_that_is_no_mapping_is_refused(path: Path, data: str, kind: str) -> None:
    assert refusal(path, data).endswith(f"got {kind}")


def test_invalid_utf8_names_its_line(path: Path) -> None:
    assert refusal(path, b"version: 1\n# caf\xe9\nbackends: {}\n") == "models.yaml: line 2: not UTF-8"


def test_a_control_sign_names_its_line(path: Path) -> None:
    assert refusal(path, b"version: 1\nbackends:\n  a: \x00\n") == "models.yaml: line 3: not YAML: the sign U+0000"


def test_a_byte_order_mark_is_no_error(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfbackends: {small: {type: fake}}\r\n")
    assert tuple(read_config(path).backends) == ("small",)


def test_utf16_is_refused(path: Path) -> None:
    assert refusal(path, "backends: {}".encode("utf-16")) == "models.yaml: line 1: not UTF-8"


def test_a_tab_as_indentation_names_its_line(path: Path) -> None:
    message = refusal(path, "backends:\n\tsmall: {type: fake}\n")
    assert message.startswith("models.yaml: line 2: not YAML: ")
    assert "\\t" in message


def test_an_unclosed_bracket_names_its_line(path: Path) -> None:
    assert refusal(path, "backends: {small: {type: fake}\n").startswith("models.yaml: line 2: not YAML: ")


def test_two_documents_are_refused(path: Path) -> None:
    assert "another document" in refusal(path, "backends: {}\n---\nbackends: {}\n")


def test_a_key_given_twice_names_its_line_at_any_depth(path: Path) -> None:
    message = refusal(path, "backends:\n  a:\n    type: fake\n    tier: mid\n    type: fake\n")
    assert message == "models.yaml: line 5: the key 'type' appears twice"


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!mine x"])
def test_tags_that_could_run_code_are_refused(path: Path, tag: str) -> None:
    assert refusal(path, f"backends: {tag}\n").startswith("models.yaml: line 1: not YAML: could not determine")


@pytest.mark.parametrize(
    "value",
    ["2024-13-01", "!!int x", "!!int ''", "!!float x", "!!bool x", "!!timestamp x", '"\\UFFFFFFFF"', "!!binary é"],
)
def test_a_value_that_does_not_fit_its_tag_is_refused(path: Path, value: str) -> None:
    assert "not YAML" in refusal(path, f"backends: {value}\n")


def test_aliases_that_multiply_are_refused(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases multiply" in refusal(path, "\n".join(lines))


def test_an_alias_of_what_contains_it_is_refused(path: Path) -> None:
    message = refusal(path, "version: 1\nbackends: &a\n  b: *a\n")
    assert message.endswith("an alias refers to what contains it")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_ten_thousand_levels_are_refused(path: Path, opening: str) -> None:
    assert refusal(path, "backends: " + opening * 10_000).startswith("models.yaml: ")


def test_a_file_of_two_megabytes_is_refused(path: Path) -> None:
    assert refusal(path, b"# " + b"x" * 2_000_000).endswith("expected at most 1000000 bytes")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_binary_junk_is_a_config_error_and_nothing_else(path: Path, data: bytes) -> None:
    assert refusal(path, data)


NAMES = ("backends", "policies", "small", "type", "fake", "auto", "price", "input", "1e3")
SCALARS = st.sampled_from(
    [
        "backends",
        "policies",
        "small",
        "type",
        "fake",
        "auto",
        "price",
        "input",
        "1",
        "-1",
        "1e3",
        ".nan",
        "~",
        "yes",
        "''",
    ]
)
NODES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(SCALARS, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=NODES)
def test_a_document_of_any_shape_is_read_or_refused_with_its_file_named(path: Path, document: str) -> None:
    path.write_text(f"backends: {document}", encoding="utf-8")
    try:
        told = ", ".join(read_config(path).backends)
    except ConfigError as error:
        told = str(error)
    assert told
    assert told.startswith(("models.yaml: ", *NAMES))
