"""The words are true: examples run, links resolve, and the reference names what the code has.

Fenced blocks are run page by page, in order, in an empty folder:

    python              run, all blocks of a page in one namespace
    LANGUAGE file.name  written to that file
    yaml                read; where it has `backends`, it must be a valid models.yaml
    yaml fails          must be refused with the words in the block that follows
    sh                  commands, all of which must succeed
    anything else, and `no-run`: not run
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import penstock.backends
import penstock.classifiers
import penstock.router
import penstock.training
from penstock.backends import BACKENDS, Completion, ConfigError, PenstockError, Query, resolve
from penstock.classifiers.signals import SIGNALS, create_signals, read_signals, signal_names
from penstock.router import Router, read_config
from penstock.router.backend_entry import BACKEND_KEYS
from penstock.router.cli import COMMANDS, main
from penstock.router.config import TOP_KEYS
from penstock.router.metrics import Metrics
from penstock.router.policy import WISH_NAMES
from penstock.router.policy_entry import POLICY_KEYS
from penstock.router.server import Sidecar
from penstock.router.shadow_share import SHADOW_KEYS
from penstock.router.trace_log import TRACES_KEYS
from penstock.training import generate, metrics
from penstock.training.preferences import PREFERENCE_COLUMNS
from penstock.training.rows import COLUMNS
from penstock.training.split import PART_OF_MARK

from .offline import Toured, run_in_process

# pygal, which draws the reports, leaves a finder of an old kind behind, of which every later import warns.
pytestmark = pytest.mark.filterwarnings("ignore:PluginImportFixer:ImportWarning")

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")))
REFERENCE = ROOT / "docs" / "reference"
DEMO = ["penstock", "demo", "--out", "demo-out"]
OFFLINE = ("demo", "train", "evaluate", "predict", "replay")

_FENCE = re.compile(r"^```(?P<language>[\w-]+)[ ]*(?P<note>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    language: str
    note: str  # what stands behind the language
    code: str
    line: int

    @property
    def is_run(self) -> bool:
        return self.note != "no-run" and (self.language in ("python", "sh", "yaml") or "." in self.note)


def blocks_of(page: Path) -> list[Block]:
    """Returns the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            language=match["language"],
            note=match["note"].strip(),
            code=match["code"],
            line=text.count("\n", 0, match.start()) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


RUNNABLE = tuple(page for page in PAGES if any(block.is_run for block in blocks_of(page)))


def name_of(page: Path) -> str:
    """Returns how a page is called in the names of tests."""
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def demo(toured: Toured) -> Path:
    """Returns the folder that the demo command of the pages writes."""
    return toured.folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Returns an empty working folder whose modules can be imported, and forgets these afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_examples_of_page_run(page: Path, folder: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = blocks_of(page)
    for place, block in enumerate(blocks):
        where = f"{name_of(page)}:{block.line}"
        if not block.is_run:
            continue
        if "." in block.note:
            path = Path(block.note)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
            if block.language == "yaml":
                read_config(path)
        elif block.language == "python":
            exec(compile(block.code, where, "exec"), namespace)
        elif block.language == "sh":
            for words in commands_in(block.code):
                assert run(words, demo=demo, setenv=monkeypatch.setenv) == 0, f"{where}: {shlex.join(words)}"
        elif block.note == "fails":
            assert refusal_of(block.code, folder) == blocks[place + 1].code.strip(), where
        elif "backends" in yaml.safe_load(block.code):
            Path("snippet.yaml").write_text(block.code, encoding="utf-8")
            read_config("snippet.yaml")


def commands_in(code: str) -> Iterator[list[str]]:
    """Yields the words of every command in a block."""
    for line in code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run(words: list[str], *, demo: Path, setenv: Callable[[str, str], None]) -> int:
    """Returns the exit code of a command of the pages; the demo's folder is copied, not made anew."""
    if words == DEMO:
        shutil.copytree(demo, "demo-out")
        return 0
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        setenv(name, value)
        return 0
    if words[0] == "penstock" and words[1] in OFFLINE:
        done = run_in_process(words[1:])
        print(done.stdout, done.stderr)  # noqa: T201 pytest shows it where the test fails
        return done.returncode
    if words[0] == "penstock":
        return main(words[1:])
    if words[:3] == ["python", "-m", "penstock.training.generate"]:
        return generate.main(words[3:])
    if words[0] == "python" and words[1].endswith(".py"):
        runpy.run_path(words[1], run_name="__main__")
        return 0
    raise AssertionError(f"nobody checks this command, so it belongs into a console block: {shlex.join(words)}")


def refusal_of(code: str, folder: Path) -> str:
    """Returns the words with which models.yaml is refused."""
    path = folder / "models.yaml"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    return str(caught.value)


def test_pages_with_examples_are_among_those_run() -> None:
    names = {name_of(page) for page in RUNNABLE}
    expected = {"README.md", "CONTRIBUTING.md", "docs/tutorial/first-router.md", "docs/how-to/models-yaml.md"}
    assert expected <= names


def test_example_of_a_signal_works_in_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(block for block in blocks_of(ROOT / "CONTRIBUTING.md") if block.note == "capitals.py")
    Path(block.note).write_text(block.code, encoding="utf-8")
    monkeypatch.setitem(SIGNALS, "capitals", "capitals:CapitalsSignal")
    create_signals.cache_clear()
    try:
        values = read_signals(Query.from_text("Well?"), Completion(text="No"))
        assert signal_names()[-1] == "capitals.share"
    finally:
        create_signals.cache_clear()
    assert values[-1] == 0.5


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_page_resolve(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert not broken


def anchors_of(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))}
    assert set(ROOT.glob("docs/*/*.md")) <= linked


def text_of(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def missing(names: Iterable[str], text: str) -> list[str]:
    """Returns the names that do not stand in the text as code, alone or before a bracket, dot or space."""
    return [name for name in names if not re.search(rf"`{re.escape(name)}(?![\w-])", text)]


def section_of(text: str, heading: str) -> str:
    """Returns what stands under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no heading {heading!r}"
    return match[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_reference_names_every_option_of_command(name: str) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    resolve(name, {name: COMMANDS[name][1]}, what="command")().add_arguments(parser)
    options = set(options_of(parser))
    section = section_of(text_of("command-line.md"), f"## {name}")
    assert options == set(re.findall(r"--[a-z][a-z-]*", section))


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yields the options of a command and of its actions, but --help, which all have."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from options_of(subparser)
        elif not isinstance(action, argparse._HelpAction):
            yield from action.option_strings


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"example:\n  penstock {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["check", "no-such-file"], 1), (["route"], 2), (["no-such-command"], 2)]
)
def test_exit_codes_are_those_of_the_reference(words: list[str], code: int) -> None:
    assert main(words) == code


def test_reference_names_every_key_of_models_yaml() -> None:
    text = text_of("models-yaml.md")
    keys = (*TOP_KEYS, *POLICY_KEYS, *BACKEND_KEYS)
    assert not missing(keys, text)


@pytest.mark.parametrize("heading", ["## Top level", "## A policy", "## A backend", "## traces", "## shadow"])
def test_reference_names_no_key_that_models_yaml_lacks(heading: str) -> None:
    known = {
        "## Top level": TOP_KEYS,
        "## A policy": POLICY_KEYS,
        "## A backend": BACKEND_KEYS,
        "## traces": TRACES_KEYS,
        "## shadow": SHADOW_KEYS,
    }
    table = section_of(text_of("models-yaml.md"), heading).partition("\n### ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(known[heading])


@pytest.mark.parametrize("name", BACKENDS)
def test_reference_names_every_option_of_backend(name: str) -> None:
    section = section_of(text_of("models-yaml.md"), f"### Options of `{name}`")
    options = resolve(name, BACKENDS, what="type").OPTIONS
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(options)


def test_reference_names_every_column_of_traces() -> None:
    text = text_of("traces.md")
    assert set(
        re.findall(r"^\| `(\w+)`", section_of(text, "## Outcomes: one row for one (query, backend)"), re.MULTILINE)
    ) == set(COLUMNS)
    assert not missing((*PREFERENCE_COLUMNS, *PART_OF_MARK), text)


def test_reference_names_every_key_of_the_manifest(demo: Path) -> None:
    manifest = json.loads((demo / "artefact" / "manifest.json").read_text(encoding="utf-8"))
    section = section_of(text_of("artefact.md"), "## manifest.json")
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(manifest)


def test_reference_names_every_file_of_the_artefact(demo: Path) -> None:
    assert not missing([path.name for path in (demo / "artefact").iterdir()], text_of("artefact.md"))


@pytest.mark.parametrize(
    "package", [penstock.router, penstock.backends, penstock.classifiers, penstock.training], ids=lambda p: p.__name__
)
def test_reference_names_every_public_name(package: Any) -> None:
    section = section_of(text_of("python.md"), f"## {package.__name__}")
    assert not missing(package.__all__, section)


def test_reference_names_every_method_of_the_router() -> None:
    public = [name for name, _ in inspect.getmembers(Router, callable) if not name.startswith("_")]
    named = re.findall(r"\w+(?=\()", section_of(text_of("python.md"), "### Router"))
    assert set(public) <= set(named)


def test_reference_names_every_error() -> None:
    for module in ("router.http_error", "training.errors", "classifiers.errors", "backends.errors", "router.errors"):
        importlib.import_module(f"penstock.{module}")
    tree = section_of(text_of("errors.md"), "# Errors")
    assert set(re.findall(r"^[│├└─ ]*(\w+)(?= {2,}|$)", _FENCE.findall(tree)[0][2], re.MULTILINE)) == {
        "PenstockError",
        *(error.__name__ for error in errors_below(PenstockError) if error.__module__.startswith("penstock.")),
    }


def errors_below(root: type[Exception]) -> Iterator[type[Exception]]:
    """Yields every error that hangs below another one."""
    for error in root.__subclasses__():
        yield error
        yield from errors_below(error)


def ask_sidecar(models: Path, method: str, path: str, **request: Any) -> httpx.Response:
    """Returns what the sidecar over a models.yaml replies, without a socket."""

    async def run() -> httpx.Response:
        async with Router.from_config(models) as router:
            transport = httpx.ASGITransport(app=Sidecar(router))
            async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client:
                return await client.request(method, path, **request)

    return asyncio.run(run())


def test_reference_names_every_path_of_the_sidecar(demo: Path) -> None:
    said = ask_sidecar(demo / "models.yaml", "GET", "/nowhere").json()["error"]["message"]
    section = section_of(text_of("http.md"), "## Endpoints")
    endpoints = re.findall(r"^\| `(GET|POST) (/[\w/.]+)`", section, re.MULTILINE)
    assert {path for _, path in endpoints} == set(re.findall(r"/[\w/.]+", said))
    for method, path in endpoints:
        assert ask_sidecar(demo / "models.yaml", method, path, content=b"{}").status_code != 405


def test_sidecar_answers_the_request_of_the_readme(demo: Path) -> None:
    block = next(block for block in blocks_of(ROOT / "README.md") if "curl" in block.code)
    words = shlex.split(block.code.partition("curl")[2].replace("\\\n", ""))
    url, body = httpx.URL(next(word for word in words if word.startswith("http"))), words[words.index("-d") + 1]
    reply = ask_sidecar(demo / "models.yaml", "POST", url.path, content=body)
    assert reply.status_code == 200
    assert reply.json()["model"] == reply.headers["x-penstock-backend"]
    named = set(re.findall(r"`(x-penstock-[\w-]+)`", section_of(text_of("http.md"), "## Response headers")))
    assert named == {name for name in reply.headers if name.startswith("x-penstock-")}
    assert set(reply.json()["penstock"]) <= set(re.findall(r"`(\w+)`", section_of(text_of("http.md"), "## Endpoints")))


def test_reference_names_every_field_of_a_step(demo: Path) -> None:
    with Router.from_config(demo / "models.yaml") as router:
        answer = router.ask("What is 49 * 2?")
    assert not missing(answer.as_dict()["steps"][0], section_of(text_of("http.md"), "## Endpoints"))


def test_reference_names_every_wish() -> None:
    section = section_of(text_of("http.md"), "## Wishes")
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(WISH_NAMES)
    assert not missing([f"x-penstock-{name.replace('_', '-')}" for name in WISH_NAMES], section)


def test_reference_names_every_code_of_an_error_reply() -> None:
    sources = [
        inspect.getsource(importlib.import_module(f"penstock.router.{name}"))
        for name in (
            "http_error",
            "server",
            "asgi",
            "formats.request",
            "keys.cross_site",
            "keys.guard",
            "keys.permission",
        )
    ]
    codes = set(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', " ".join(re.findall(r"code=[^)\n]*", "\n".join(sources)))))
    assert codes
    assert not missing(codes, section_of(text_of("http.md"), "## Errors"))


def test_reference_names_every_metric() -> None:
    metrics = Metrics()
    told = metrics.text(metrics.figures()).decode()
    section = section_of(text_of("http.md"), "## Metrics")
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(
        re.findall(r"^# TYPE (\w+)", told, re.MULTILINE)
    )


def test_reference_names_every_figure_of_merit() -> None:
    public = [
        name
        for name, thing in inspect.getmembers(metrics, inspect.isfunction)
        if thing.__module__ == metrics.__name__ and not name.startswith("_")
    ]
    assert not missing(public, text_of("figures.md"))


def test_what_the_demo_prints_looks_as_the_tutorial_shows(toured: Toured) -> None:
    tutorial = ROOT / "docs" / "tutorial" / "first-router.md"
    shown = next(block.code for block in blocks_of(tutorial) if "difficulty" in block.code)
    # The tests ask fewer questions, so others are shown, right or wrong; the form is the same.
    assert {unnumbered(line) for line in shown.splitlines()[1:3]} <= {
        unnumbered(line) for line in toured.printed.splitlines()
    }
    assert re.search(r"^    right: .+$", toured.printed, re.MULTILINE)


def unnumbered(line: str) -> str:
    """Returns a line of the demo without numbers and without the names of backends."""
    line = re.sub(r"(start with |path )[^,:]+", r"\1...", line)
    return re.sub(r"\d+(\.\d+)?", "0", line)


def test_readme_has_one_place_for_the_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- figures:begin -->")
    table, end, _ = rest.partition("<!-- figures:end -->")
    assert begin
    assert end
    assert "python benchmarks/routing_quality.py" in before
    assert "| router closed | cascade closed | best plain baseline |" in table


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_exist(page: Path) -> None:
    folders = "|".join(("backends", "classifiers", "router", "training", "tests", "benchmarks", "docs"))
    text = re.sub(r"to become `[^`]*`", "", page.read_text(encoding="utf-8"))
    named = re.findall(rf"`(?:python )?((?:{folders})/[\w./-]+)`", text)
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_first_router_answers_what_the_readme_asks(demo: Path) -> None:
    with Router.from_config(demo / "models.yaml") as router:
        assert "98" in router.ask("What is 49 * 2?").text
