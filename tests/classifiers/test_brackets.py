"""Brackets, strings and comments in code of many languages."""

from __future__ import annotations

import time

import pytest

from penstock.classifiers.brackets import is_balanced

GOOD = [
    ("js", "const re = /[(]/g; const s = `a ${f(1)} (`; // )\nfunction f(x) { return x['a'] + \"(\"; }"),
    ("ts", "const a = 1 / 2; const b: number[] = [(3) / 4]; /* ( */ let s = 'it\\'s (';"),
    ("js", "const s = `a ${b ? `${f(`(`)} [` : ''} {`;"),
    ("js", "const f = x => /[{]/.test(x); function g(s) { return /[(]/.test(s) }"),
    ("rust", "fn f<'a>(x: &'a str) -> char { '(' } let s = \"(\"; let c = '\\'';"),
    ("java", 'char c = \'(\'; String s = """\n ( """; int[] a = {1, 2};'),
    ("go", 'var s = `(raw\n[`\nfunc f() { fmt.Println("[") }'),
    ("cpp", "int x = 1'000'000; std::vector<int> v{1, 2}; char c = '\\n'; // don't ("),
    ("php", "<?php function f($x) { return \"{$x['a']}\"; }"),
    ("php", "<?php # don't (\n#[Pure]\nfunction f() { return '#('; }"),
    ("css", "a { background: url(http://example.org/a.png); } /* } */"),
    ("sql", "SELECT 'it''s (' FROM t -- (\nWHERE (a = 1);"),
]


@pytest.mark.parametrize(("language", "code"), GOOD)
def test_code_that_is_closed_is_balanced(language: str, code: str) -> None:
    assert is_balanced(language, code) is True


@pytest.mark.parametrize(("language", "code"), GOOD)
def test_a_bracket_more_or_less_is_seen(language: str, code: str) -> None:
    assert is_balanced(language, code + "\n(") is False
    assert is_balanced(language, code + "\n)") is False
    assert is_balanced(language, "{" + code + "\n)") is False


@pytest.mark.parametrize("language", ["c", "js", "css", "sql"])
def test_a_comment_without_end_is_seen(language: str) -> None:
    assert is_balanced(language, "a; /* and so on") is False


def test_of_other_languages_nothing_is_said() -> None:
    assert is_balanced("brainfuck", "[") is None


@pytest.mark.parametrize(
    "part", ['"', "'", "`", '\\"', "=/[", "/*", "(", '""" ', '"\\', "-", "= ", "\\", "`${", "${{}", "${`{", "#"]
)
@pytest.mark.parametrize("language", ["c", "js", "php", "css", "sql"])
def test_hostile_code_is_read_to_the_end(language: str, part: str) -> None:
    began = time.process_time()
    assert is_balanced(language, part * (20_000 // len(part))) in (True, False)
    assert time.process_time() - began < 5  # not for as long as it likes
