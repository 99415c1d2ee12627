from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from penstock.classifiers.whole_file import whole_file

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    with whole_file(pipe) as scratch:
        scratch.write_text("figures")
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    reader.join(timeout=10)
    assert read == ["figures"]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "latest.html", tmp_path / "report.html"
    target.write_text("old")
    link.symlink_to(target.name)
    with whole_file(link) as scratch:
        scratch.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == [link, target]
