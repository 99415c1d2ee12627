"""What a user installs: the sdist, and the wheel that is built from it, as `pip` would, but without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("backends", "classifiers", "router", "training")
DATA = {
    "classifiers/encoders/data/static/table.safetensors",
    "classifiers/encoders/data/static/tokenizer.json",
    "training/report_template.html",
    "router/page/assets/index.html",
    "router/page/assets/main.js",
    *(
        f"backends/embedded/{name}/{file}"
        for name in ("small", "mid", "lrm")
        for file in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md")
    ),
    *(f"{package}/py.typed" for package in PACKAGES),
}


@dataclass(frozen=True)
class Built:
    """A source distribution and a wheel."""

    sdist: frozenset[str]  # files, without the folder that holds them all
    wheel: frozenset[str]
    wheel_path: Path


def run(words: list[str], folder: Path, **environment: str) -> str:
    """Returns what a command prints, which must succeed within a minute."""
    ended = subprocess.run(
        words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Returns the sdist of this working tree and the wheel built from it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build"]
    run([*build, "-t", "sdist", "-d", str(folder)], ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    run([*build, "-t", "wheel", "-d", str(folder)], source)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as wheel_archive:
        return Built(
            sdist=frozenset(name.partition("/")[2] for name in names),
            wheel=frozenset(wheel_archive.namelist()),
            wheel_path=wheel,
        )


def files_of_the_packages() -> set[str]:
    """Returns every file of the four packages, relative to the project's folder."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_sdist_holds_the_packages_their_tests_and_the_configuration(built: Built) -> None:
    assert files_of_the_packages() <= built.sdist
    assert {"pyproject.toml", "README.md", "LICENSE", "models.yaml", "tests/test_packaging.py"} <= built.sdist


def test_the_wheel_holds_every_file_of_the_packages(built: Built) -> None:
    inside = {name.removeprefix("penstock/") for name in built.wheel if name.startswith("penstock/")}
    assert inside == files_of_the_packages() | {"__main__.py"}


def test_data_files_are_among_them(built: Built) -> None:
    assert {f"penstock/{name}" for name in DATA} <= built.wheel


def test_the_wheel_has_one_top_level_name(built: Built) -> None:
    tops = {name.partition("/")[0] for name in built.wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"penstock"}


def test_the_wheel_works_without_the_working_tree(built: Built, tmp_path: Path) -> None:
    with zipfile.ZipFile(built.wheel_path) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "models.yaml").write_text("backends: {small: {type: fake, answer: '391'}}")
    program = "import sys, penstock.router.cli as cli; print(cli.__file__); sys.exit(cli.main(['ask', '17 * 23?']))"
    told = run([sys.executable, "-c", program], tmp_path, PYTHONPATH=str(tmp_path / "site")).splitlines()
    assert Path(told[0]) == tmp_path / "site" / "penstock" / "router" / "cli.py"
    assert told[1] == "391"
    command = [sys.executable, "-m", "penstock", "ask", "17 * 23?"]
    assert run(command, tmp_path, PYTHONPATH=str(tmp_path / "site")) == "391\n"


def test_the_command_is_declared(built: Built) -> None:
    (entry_points,) = (name for name in built.wheel if name.endswith(".dist-info/entry_points.txt"))
    with zipfile.ZipFile(built.wheel_path) as archive:
        assert "penstock = penstock.__main__:main" in archive.read(entry_points).decode()
