"""The log of traces: whole lines, turned over by size, and never in the way of an answer."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from penstock.router.sink import JsonlSink, NullSink, TraceSink
from penstock.training.traces import Trace, read_traces

SOURCES = Path(__file__).resolve().parents[2] / ".src"


def record(number: int = 0, **changes: object) -> dict[str, object]:
    return {"query_id": f"q{number}", "query": "Why?", "backend": "small", "policy": "auto"} | changes


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run(script: str, *arguments: object) -> str:
    """Returns what a script prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("make", [NullSink, lambda: JsonlSink(Path("never-written"))])
def test_sinks_keep_the_protocol(make: type[NullSink]) -> None:
    assert isinstance(make(), TraceSink)


def test_nothing_is_kept_by_the_null_sink(tmp_path: Path) -> None:
    sink = NullSink()
    sink.write(record())
    sink.close()
    sink.close()
    assert not list(tmp_path.iterdir())


def test_a_sink_that_writes_nothing_makes_no_file(tmp_path: Path) -> None:
    JsonlSink(tmp_path / "log").close()
    assert not list(tmp_path.iterdir())


def test_every_line_is_there_as_soon_as_write_returns(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "deep" / "log")
    sink.write(record(1, query="Wörter\nand\u2028lines"))
    assert lines(tmp_path / "deep" / "log" / "traces.jsonl") == [record(1, query="Wörter\nand\u2028lines")]
    sink.write(record(2))
    assert len(sink.path.read_bytes().splitlines()) == 2
    sink.close()


def test_a_path_that_ends_in_jsonl_is_the_file_itself(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "mine.jsonl")
    sink.write(record())
    sink.close()
    assert lines(tmp_path / "mine.jsonl") == [record()]


def test_a_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for number in range(3):
        sink = JsonlSink(tmp_path)
        sink.write(record(number))
        sink.close()
    assert [line["query_id"] for line in lines(tmp_path / "traces.jsonl")] == ["q0", "q1", "q2"]


def test_only_the_owner_may_read_what_users_asked(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=10)
    sink.write(record(1))
    sink.write(record(2))
    sink.close()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_the_reader_of_traces_reads_it(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=400)
    for number in range(20):
        sink.write(record(number, logprobs=(-0.5,), cost_usd=np.float64(0.25), score=None, messages=None))
    sink.write({"query_id": "q7", "backend": "small", "score": 1.0})
    sink.close()
    rows = read_traces([tmp_path]).rows
    assert [row.query_id for row in rows] == [f"q{number}" for number in range(20)]
    assert rows[7] == Trace(
        query_id="q7", query="Why?", backend="small", score=1.0, cost_usd=0.25, logprobs=(-0.5,), policy="auto"
    )


def test_files_are_turned_over_by_size_and_sort_in_the_order_of_writing(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=200)
    for number in range(12):
        sink.write(record(number))
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files[:2]] == ["traces-000001.jsonl", "traces-000002.jsonl"]
    assert files[-1].name == "traces.jsonl"
    assert all(path.stat().st_size <= 200 for path in files)
    assert [line["query_id"] for path in files for line in lines(path)] == [f"q{number}" for number in range(12)]


def test_a_record_longer_than_a_file_is_kept_whole(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=50)
    sink.write(record(1, query="long " * 100))
    sink.write(record(2))
    sink.close()
    assert [len(lines(path)) for path in sorted(tmp_path.iterdir())] == [1, 1]


def test_the_oldest_files_are_removed_beyond_max_files(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=1, max_files=3)
    for number in range(10):
        sink.write(record(number))
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert [line["query_id"] for path in files for line in lines(path)] == ["q7", "q8", "q9"]


def test_one_file_alone_may_be_kept(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=1, max_files=1)
    for number in range(3):
        sink.write(record(number))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]
    assert lines(tmp_path / "traces.jsonl") == [record(2)]


def test_numbers_go_on_after_a_restart_and_strangers_are_left_alone(tmp_path: Path) -> None:
    for name in ("traces-old.jsonl", "other-000009.jsonl", "traces-000007.csv"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "traces-000004.jsonl").write_text("{}\n")
    sink = JsonlSink(tmp_path, max_bytes=1, max_files=2)
    for number in range(3):
        sink.write(record(number))
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other-000009.jsonl",
        "traces-000006.jsonl",
        "traces-000007.csv",
        "traces-old.jsonl",
        "traces.jsonl",
    ]


@pytest.mark.parametrize(("max_bytes", "max_files"), [(0, None), (-1, None), (10, 0)])
def test_senseless_limits_are_refused(tmp_path: Path, max_bytes: int, max_files: int | None) -> None:
    with pytest.raises(ValueError, match="expected numbers from 1 up"):
        JsonlSink(tmp_path, max_bytes=max_bytes, max_files=max_files)


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps(record(1)) + "\n" + json.dumps(record(2))[:20])
    sink = JsonlSink(tmp_path)
    sink.write(record(3))
    sink.write(record(4))
    sink.close()
    traces = read_traces([path], skip_bad_rows=True)
    assert [row.query_id for row in traces.rows] == ["q1", "q3", "q4"]
    assert traces.n_skipped == 1


def test_a_file_taken_away_is_begun_anew(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(record(1))
    sink.path.unlink()
    sink.write(record(2))
    sink.close()
    assert lines(sink.path) == [record(2)]
    assert sink.lost == 0


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path, max_bytes=20_000)

    def write(thread: int) -> None:
        for number in range(100):
            sink.write(record(thread * 1000 + number, response="x" * 200))

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    assert len(read_traces([tmp_path]).rows) == 400
    assert sink.lost == 0


def test_a_file_that_another_sink_turned_over_is_not_turned_over_again(tmp_path: Path) -> None:
    one, other = JsonlSink(tmp_path, max_bytes=200), JsonlSink(tmp_path, max_bytes=200)
    for number, sink in enumerate((one, other, one, other)):  # the third turns the file over
        sink.write(record(number))
    one.close()
    other.close()
    files = sorted(tmp_path.iterdir())
    assert [[line["query_id"] for line in lines(path)] for path in files] == [["q0", "q1"], ["q2", "q3"]]


def test_processes_may_share_a_log(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from penstock.router.sink import JsonlSink\n"
        "sink = JsonlSink(Path(sys.argv[1]), max_bytes=5000)\n"
        "for n in range(150):\n"
        "    sink.write({'query_id': f'{sys.argv[2]}-{n}', 'query': 'Why?' * 20, 'backend': 'small'})\n"
        "sink.close(); print(sink.lost)"
    )
    outputs: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: outputs.append(run(script, tmp_path, name))) for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == ["0\n", "0\n"]
    assert len(read_traces([tmp_path]).rows) == 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_a_full_disk_costs_records_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "traces.jsonl").symlink_to("/dev/full")
    now = [0.0]
    sink = JsonlSink(tmp_path, report_every_s=60, clock=lambda: now[0])
    with caplog.at_level(logging.ERROR, logger="penstock.router.sink"):
        for _ in range(5):
            sink.write(record())
        assert sink.lost == 5
        assert len(caplog.records) == 1
        assert "No space left on device" in caplog.text
        now[0] = 61.0
        sink.write(record())
        assert caplog.records[1].getMessage().startswith("traces lost: 5 more, 6 in all")
        sink.write(record())
        sink.close()
    assert caplog.records[2].getMessage() == "traces lost: 1 more, 7 in all"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_line_that_fits_only_in_part_leaves_the_file_readable(tmp_path: Path) -> None:
    script = (
        "import logging, resource, sys; from pathlib import Path; from penstock.router.sink import JsonlSink\n"
        "logging.disable()\n"
        "sink = JsonlSink(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "for n in range(20):\n"
        "    sink.write({'query_id': f'q{n}', 'query': 'Why?' * 20, 'backend': 'small'})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "sink.write({'query_id': 'last', 'query': 'Why?', 'backend': 'small'})\n"
        "print(sink.lost)"
    )
    lost = int(run(script, tmp_path))
    rows = read_traces([tmp_path]).rows
    assert lost > 0
    assert len(rows) == 21 - lost
    assert rows[-1].query_id == "last"


def test_a_folder_that_cannot_be_made_costs_records_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    sink = JsonlSink(tmp_path / "log")
    sink.write(record(1))
    assert sink.lost == 1
    (tmp_path / "log").unlink()
    sink.write(record(2))
    sink.close()
    assert lines(tmp_path / "log" / "traces.jsonl") == [record(2)]
    assert sink.lost == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of folders")
def test_a_read_only_folder_costs_records_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import logging, os, sys; from pathlib import Path; from penstock.router.sink import JsonlSink\n"
        "logging.disable()\n"
        "sink = JsonlSink(Path(sys.argv[1]))\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"  # root may write everywhere
        "sink.write({'query_id': 'q1'}); sink.close(); print(sink.lost)"
    )
    tmp_path.chmod(0o500)
    assert run(script, tmp_path) == "1\n"
    assert not list(tmp_path.iterdir())
    tmp_path.chmod(0o700)


def test_a_log_that_cannot_be_turned_over_grows_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = JsonlSink(tmp_path / "l" / f"{'x' * 245}.jsonl", max_bytes=1)  # a longer name is more than a disk takes
    with caplog.at_level(logging.WARNING, logger="penstock.router.sink"):
        for number in range(3):
            sink.write(record(number))
    sink.close()
    assert len(lines(sink.path)) == 3
    assert [message for message in caplog.messages if "cannot be rotated" in message] == caplog.messages[:1]


def test_what_is_no_json_is_lost_alone(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path)
    endless: dict[str, object] = {}
    endless["self"] = endless
    for bad in ({"response": {1, 2}}, {"response": object()}, endless):
        sink.write(bad)
    sink.write(record())
    sink.close()
    assert sink.lost == 3
    assert lines(sink.path) == [record()]


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(record(query="a\ud800b"))
    sink.close()
    assert lines(sink.path) == [record(query="a?b")]


def test_records_after_close_are_lost_without_an_error(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(record(1))
    sink.close()
    sink.write(record(2))
    sink.close()
    assert sink.lost == 1
    assert lines(sink.path) == [record(1)]
