"""Reading models.yaml and its artefact anew: what it changes, what it refuses, and that no request notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from penstock.backends import BackendSpec, Completion, ConfigError, FakeBackend, PenstockError, Query
from penstock.classifiers import ArtefactError
from penstock.router import Router
from penstock.router import fleet as fleet_module
from penstock.router.reloading import Stamp, watch
from penstock.router.server import Sidecar

from .serving import HELLO, MODELS, PATIENCE_S, acall, write_models

MID = "  mid: {type: fake, tier: mid, price: {input: 0.1, output: 1}, answer: '391.'}\n"


class SlowBackend(FakeBackend):
    """Answers as soon as it may, if it was not closed before."""

    def __init__(self, spec: BackendSpec) -> None:
        super().__init__(answer=str(spec.options.get("answer")), spec=spec)
        self.may_end = asyncio.Event()
        self.was_closed = asyncio.Event()

    async def complete(self, query: Query) -> Completion:
        """Waits."""
        await self.may_end.wait()
        assert not self.was_closed.is_set()
        return await super().complete(query)

    async def aclose(self) -> None:
        """Says that it was called."""
        self.was_closed.set()


@contextlib.contextmanager
def slow_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SlowBackend]]:
    made: list[SlowBackend] = []

    def create(spec: BackendSpec) -> SlowBackend:
        made.append(SlowBackend(spec))
        return made[-1]

    monkeypatch.setattr(fleet_module, "create_backend", create)
    yield made


def test_a_reload_tells_what_has_changed_and_holds_from_the_next_request_on(tmp_path: Path) -> None:
    with Router.from_config(write_models(tmp_path)) as router:
        assert router.ask("What is 17 * 23?", policy="small").text == "It is 391."
        assert str(router.reload()) == "nothing has changed"
        write_models(tmp_path, MODELS.replace("It is 391.", "391!").replace("lam: 20", "lam: 2") + MID)

        reloaded = router.reload()

        assert (reloaded.added, reloaded.removed, reloaded.changed) == (("mid",), (), ("small",))
        assert reloaded.policies == ("auto",)
        assert str(reloaded) == "backends added: mid; backends changed: small; policies changed: auto"
        assert router.ask("What is 17 * 23?", policy="small").text == "391!"
        assert router.ask("What is 17 * 23?", policy="mid").text == "391."
        assert router.policy("auto").lam == 2
        assert list(router.gates()) == list(router.config.backends) == ["small", "lrm", "mid"]


def test_backends_described_as_before_keep_their_connections_and_their_breakers(tmp_path: Path) -> None:
    with Router.from_config(write_models(tmp_path)) as router:
        before, gates = router.backends(), router._settings.gates
        write_models(tmp_path, MODELS.replace("It is 391.", "391!"))
        router.reload()
        after = router.backends()
        assert after["lrm"] is before["lrm"]
        assert router._settings.gates["lrm"] is gates["lrm"]
        assert after["small"] is not before["small"]
        assert router._settings.gates["small"] is not gates["small"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MODELS.replace("lam: 20", "lamb: 20"), "models.yaml: policies.auto.lamb"),
        (MODELS.replace("type: fake, tier: small", "type: opnai, tier: small"), "unknown 'opnai'"),
        (MODELS + "artefact: nowhere/traces\nkeys: {file: keys.db}\n", "keys: file cannot change while it runs"),
        (MODELS + "conversations: {file: talk.db}\n", "conversations: file cannot change while it runs"),
        (MODELS + "traces: {folder: log}\n", "traces: folder, max_mb and max_files cannot change"),
        (MODELS.replace("type: fake, tier: small", "type: openai, model: m, api_key_env: NOT_SET_HERE"), "small"),
        (": {", "models.yaml"),
    ],
)
def test_what_is_wrong_is_refused_and_all_stays_as_it_was(tmp_path: Path, text: str, told: str) -> None:
    with Router.from_config(write_models(tmp_path)) as router:
        before = router.ask("What is 17 * 23?", policy="small")
        config, backends = router.config, dict(router.backends())
        write_models(tmp_path, text)
        with pytest.raises(ConfigError, match=told):
            router.reload()
        assert router.config is config
        assert dict(router.backends()) == backends
        assert router.ask("What is 17 * 23?", policy="small").text == before.text


def test_a_damaged_artefact_is_refused(tmp_path: Path) -> None:
    with Router.from_config(write_models(tmp_path)) as router:
        folder = tmp_path / "trained"
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
        write_models(tmp_path, MODELS + "artefact: trained\n")
        with pytest.raises(ArtefactError, match="manifest"):
            router.reload()
        assert router.config.artefact is None


def test_a_backend_that_has_gone_is_closed_when_the_last_request_that_may_ask_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(made: list[SlowBackend]) -> None:
        async with Router.from_config(write_models(tmp_path)) as router:
            router.live_on(asyncio.get_running_loop())
            router.backends()
            small, lrm = made
            asked = asyncio.create_task(router.aask("What is 17 * 23?", policy="small"))
            await asyncio.sleep(0)
            write_models(tmp_path, MODELS.replace("small:", "tiny:"))
            await router.areload()
            tiny = made[2]
            await asyncio.sleep(0.05)
            assert not small.was_closed.is_set()
            small.may_end.set()
            assert (await asked).text == "It is 391."
            del asked
            async with asyncio.timeout(PATIENCE_S):
                await small.was_closed.wait()
            assert not lrm.was_closed.is_set()
        assert lrm.was_closed.is_set()
        assert tiny.was_closed.is_set()

    with slow_backends(monkeypatch) as made:
        asyncio.run(scene(made))


def test_a_refused_reload_closes_what_it_had_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SlowBackend] = []

    def create(spec: BackendSpec) -> SlowBackend:
        if spec.name == "last":
            raise ConfigError("last: no key")
        made.append(SlowBackend(spec))
        return made[-1]

    monkeypatch.setattr(fleet_module, "create_backend", create)
    with Router.from_config(write_models(tmp_path)) as router:
        router.backends()
        write_models(tmp_path, MODELS + MID + MID.replace("mid:", "last:"))
        with pytest.raises(ConfigError, match="no key"):
            router.reload()
        assert [one.was_closed.is_set() for one in made] == [False, False, True]
        assert list(router.backends()) == ["small", "lrm"]
    assert all(one.was_closed.is_set() for one in made)


def test_nothing_changes_where_the_budget_of_shadow_calls_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "keys.db").mkdir()
    logged = MODELS + "traces: {folder: log}\nkeys: {file: keys.db}\n"
    with Router.from_config(write_models(tmp_path, logged)) as router:
        config, backends, gates = router.config, dict(router.backends()), list(router.gates())
        shadowed = logged.replace("small:", "tiny:") + "shadow: {share: 1, max_usd_per_day: 1}\n"
        write_models(tmp_path, shadowed)
        with pytest.raises(PenstockError, match=r"keys\.db"):
            router.reload()
        assert router.config is config
        assert dict(router.backends()) == backends
        assert list(router.gates()) == gates
        assert router.ask("What is 17 * 23?", policy="small").text == "It is 391."


def test_what_is_written_of_queries_changes_with_the_reload(tmp_path: Path) -> None:
    logged = MODELS + "traces: {folder: log, content: on}\n"
    with Router.from_config(write_models(tmp_path, logged)) as router:
        router.ask("the first")
        write_models(tmp_path, logged.replace("content: on", "content: off"))
        router.reload()
        router.ask("the second")
    written = (tmp_path / "log" / "traces.jsonl").read_text()
    assert "the first" in written
    assert "the second" not in written


def test_the_sidecar_counts_reloads_and_tells_what_it_goes_by(tmp_path: Path) -> None:
    async def scene() -> tuple[str, str]:
        router = Router.from_config(write_models(tmp_path))
        app = Sidecar(router)
        router.live_on(asyncio.get_running_loop())
        before = router.config.sha256
        assert (await acall(app, "/v1/chat/completions", {"messages": HELLO, "model": "small"})).status == 200
        write_models(tmp_path, MODELS + MID)
        await app.reload()
        assert (await acall(app, "/v1/chat/completions", {"messages": HELLO, "model": "mid"})).status == 200
        write_models(tmp_path, "nonsense")
        with pytest.raises(ConfigError):
            await app.reload()
        text = (await acall(app, "/metrics", ends={"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)})).body
        after = router.config.sha256
        await router.aclose()
        assert before != after
        return text.decode(), after

    text, digest = asyncio.run(scene())
    assert 'penstock_reloads_total{result="ok"} 1' in text
    assert 'penstock_reloads_total{result="failed"} 1' in text
    assert f'penstock_config_info{{models_yaml="{digest}",artefact=""}} 1' in text


def test_a_watch_waits_until_the_files_have_come_to_rest() -> None:
    seen: list[int] = []
    stamps = [0, 0, 1, 2, 2, 2, 3, 3]

    async def scene() -> None:
        at = -1
        ended = asyncio.Event()

        def stamp() -> Stamp:
            nonlocal at
            at += 1
            if at == len(stamps):  # one more look, by when it has reloaded after the last
                loop.call_soon_threadsafe(ended.set)
            return told(stamps[min(at, len(stamps) - 1)])

        async def reload() -> None:
            seen.append(stamps[at])

        loop = asyncio.get_running_loop()
        task = asyncio.create_task(watch(stamp, reload, every_s=0.001))
        await ended.wait()
        task.cancel()

    def told(number: int) -> Mapping[Path, tuple[int, int, int]]:
        return {Path("models.yaml"): (number, 0, 0)}

    asyncio.run(scene())
    assert seen == [2, 3]


def test_what_changes_as_soon_as_a_watch_is_made_is_seen() -> None:
    stamps = [0]

    async def scene() -> None:
        ended = asyncio.Event()

        async def reload() -> None:
            ended.set()

        watching = watch(lambda: {Path("models.yaml"): (stamps[-1], 0, 0)}, reload, every_s=0.001)
        stamps.append(1)
        task = asyncio.create_task(watching)
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        task.cancel()

    asyncio.run(scene())
