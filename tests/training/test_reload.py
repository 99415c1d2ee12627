"""A trained router is replaced by another one while it runs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import ArtefactError, save_artefact
from penstock.router import Router
from penstock.router.reloading import stamp_of

from .conftest import Trained

MODELS = """
artefact: trained
backends:
  small: {type: fake, tier: small, price: {input: 0.1, output: 0.4}}
  mid: {type: fake, tier: mid, price: {input: 1, output: 3}}
  lrm: {type: fake, tier: lrm, efforts: [low, high], price: {input: 1, output: 4}}
"""
QUESTION = "What is 17 * 23?"


def save(demo: Trained, folder: Path, *, seed: int) -> None:
    save_artefact(demo.fitted.trained, folder, training_data_sha256="0" * 64, seed=seed, metrics={})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Returns the path of a configuration."""
    path = tmp_path / "models.yaml"
    path.write_text(MODELS)
    return path


def test_an_artefact_is_used_from_the_next_request_on(demo: Trained, models: Path) -> None:
    with Router.from_config(models) as router:
        cold = router.route(QUESTION)
        assert cold.estimates.source == "cold start"

        save(demo, models.parent / "trained", seed=0)
        assert str(router.reload()) == "artefact changed"
        trained = router.route(QUESTION)
        assert trained.estimates.source != "cold start"
        assert trained.neighbours
        assert str(router.reload()) == "nothing has changed"

        digest = router.pool.artefact_sha256
        save(demo, models.parent / "trained", seed=1)
        assert router.reload().artefact
        assert router.pool.artefact_sha256 != digest


def test_what_is_not_a_whole_artefact_any_more_is_refused(demo: Trained, models: Path) -> None:
    folder = models.parent / "trained"
    save(demo, folder, seed=0)
    with Router.from_config(models) as router:
        before = router.pool
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        (folder / "manifest.json").write_bytes(orjson.dumps(manifest | {"seed": 7}))
        with pytest.raises(ArtefactError, match="manifest"):
            router.reload()
        shutil.rmtree(folder)
        with pytest.raises(ArtefactError, match="does not exist"):
            router.reload()
        assert router.pool is before
        assert router.route(QUESTION).estimates.source != "cold start"


def test_a_policy_whose_promise_the_artefact_does_not_make_is_refused(demo: Trained, models: Path) -> None:
    save(demo, models.parent / "trained", seed=0)
    with Router.from_config(models) as router:
        models.write_text(
            MODELS + "policies: {auto: {}, close: {objective: within_of_best, margin: 0.11, risk: 0.07}}\n"
        )
        with pytest.raises(ConfigError, match="policy close"):
            router.reload()
        assert "close" not in router.config.policies


def test_every_request_is_decided_and_answered_by_one_and_the_same_artefact(demo: Trained, models: Path) -> None:
    folder = models.parent / "trained"

    async def scene() -> int:
        is_over, n_answers = False, 0

        async def ask() -> None:
            nonlocal n_answers
            while not is_over:
                answer = await router.aask(QUESTION, policy="auto")
                assert answer.backend in answer.decision.estimates.backends
                n_answers += 1
                await asyncio.sleep(0)

        async with Router.from_config(models) as router:
            router.live_on(asyncio.get_running_loop())
            clients = [asyncio.create_task(ask()) for _ in range(4)]
            for seed in range(4):
                save(demo, folder, seed=seed)
                models.write_text(MODELS if seed % 2 else MODELS.replace("small:", "tiny:"))
                assert (await router.areload()).artefact
            is_over = True
            await asyncio.gather(*clients)
        return n_answers

    assert asyncio.run(scene()) > 4


def test_a_new_artefact_is_seen(demo: Trained, models: Path) -> None:
    save(demo, models.parent / "trained", seed=0)
    with Router.from_config(models) as router:
        before = stamp_of(router.config)
        assert stamp_of(router.config) == before
        save(demo, models.parent / "trained", seed=1)
        assert stamp_of(router.config) != before
