"""The page in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from penstock.backends import FakeBackend
from penstock.classifiers import Contribution
from penstock.router import Router
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.server import Sidecar

from ..serving import HELLO, MODELS, make_judging_router, make_router, serving, write_models
from .browser import NAMES, Tab, browser_path, browsing

pytestmark = pytest.mark.skipif(browser_path() is None, reason=f"no browser here: none of {', '.join(NAMES)}")

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


def browse(work: Callable[[Tab], Awaitable[None]]) -> None:
    """Runs what is to be done in a fresh browser; the page must not log an error on the way."""

    async def run() -> None:
        async with browsing() as tab:
            await work(tab)
            assert tab.troubles == []

    asyncio.run(run())


async def nameless(tab: Tab) -> list[str]:
    """Returns the fields and buttons that have no name for those who do not see them."""
    nodes = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
    fields = [
        node for node in nodes if node["role"]["value"] in ("button", "combobox", "textbox") and not node["ignored"]
    ]
    assert len(fields) >= 6
    return [json.dumps(node) for node in fields if not node.get("name", {}).get("value")]


def test_a_query_can_be_explained_and_asked_and_is_then_shown(tmp_path: Path) -> None:
    small, lrm = FakeBackend(answer="wrong it is"), FakeBackend(answer="right it is")

    async def work(tab: Tab) -> None:
        await tab.open(url)
        assert "No requests yet." in await tab.until("document.querySelector('#requests .empty').innerText")
        assert await nameless(tab) == []
        await tab.fill("#query", "What is 17 * 23?")
        await tab.click("#explain")
        assert "Would ask small first." in await tab.until(
            "document.querySelector('#answer table') && document.body.innerText"
        )

        await tab.click("#send")
        await tab.until("document.querySelector('#answer .together')")
        assert await tab.value("document.querySelector('.said').textContent") == "right it is"
        row = await tab.until("document.querySelector('.row').innerText")
        assert "small › lrm" in row
        assert await tab.value("document.querySelectorAll('#plot circle.moved.b1').length") == 1
        assert "100 %" in await tab.value("document.querySelector('#tiles').innerText")

        await tab.value("document.querySelector('.row button').focus()")
        await tab.press("Enter")
        assert "utility: estimated quality" in await tab.until("document.querySelector('.detail').innerText")
        await tab.click("#answer .together button")
        await tab.until("document.querySelector('#answer').innerText.includes('noted')")

    with serving(Sidecar(make_judging_router(tmp_path, {"small": small, "lrm": lrm}))) as url:
        browse(work)


def test_the_explanation_tells_what_was_seen_of_the_query_and_moved_the_estimates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = make_judging_router(tmp_path, {"small": FakeBackend(answer="no"), "lrm": FakeBackend(answer="no")})
    found = (
        Contribution(kind="feature", name="digits", quality=np.array([-0.25, -0.0001])),
        Contribution(kind="words", name="all", quality=np.array([0.125, 0.5])),
    )
    monkeypatch.setattr(router.pool, "contributions", lambda text: found)

    async def work(tab: Tab) -> None:
        await tab.open(url)
        await tab.until("document.querySelector('#requests .empty')")
        await tab.fill("#query", "What is 17 * 23?")
        await tab.click("#explain")
        told = await tab.until("document.querySelector('.contributions').innerText")
        rows = [line.split("\t") for line in told.splitlines()]
        assert rows == [
            ["Seen in the query", "small", "lrm"],
            ["words all", "+0.125", "+0.500"],
            ["feature digits", "−0.250", "0.000"],
        ]

    with serving(Sidecar(router)) as url:
        browse(work)


def test_what_others_wrote_stays_text(tmp_path: Path) -> None:
    models = write_models(tmp_path, MODELS + "traces: {folder: traces, content: on}\n")
    router = Router.from_config(models, backends={"small": FakeBackend(answer=HOSTILE)})

    async def work(tab: Tab) -> None:
        await tab.open(url)
        await tab.until("document.querySelector('#requests .empty')")
        await tab.fill("#query", HOSTILE)
        await tab.click("#send")
        await tab.until("document.querySelector('.row')")
        await tab.click(".row button")
        assert HOSTILE in await tab.until("document.querySelector('.detail').innerText")
        assert await tab.value("document.querySelector('.said').textContent") == HOSTILE
        assert await tab.value("document.querySelectorAll('img').length") == 0
        assert await tab.value("document.title") == "Penstock"

    with serving(Sidecar(router)) as url:
        browse(work)


def test_a_key_opens_the_page_and_stays_in_the_tab(tmp_path: Path) -> None:
    store = MemoryStore()
    texts = {}
    for name in ("anna", "bert"):
        key, texts[name] = new_key(Key(id="", name=name, digest="", created_at=0.0))
        store.put(key)

    async def work(tab: Tab) -> None:
        await tab.open(url)
        await tab.until("!document.querySelector('#door').hidden")
        assert not await tab.value("document.querySelector('#content').checkVisibility()")
        await tab.fill("#key", "penstock_0_wrong")
        await tab.press("Enter")
        assert "not one of this sidecar" in await tab.until("document.querySelector('#problem').innerText")
        await tab.fill("#key", texts["anna"])
        await tab.press("Enter")
        await tab.until("document.querySelector('.row')")
        assert await tab.value("document.querySelectorAll('.row').length") == 1  # bert's is not hers
        assert texts["anna"] not in await tab.value("document.documentElement.outerHTML + JSON.stringify(localStorage)")
        await tab.reload()
        await tab.until("document.querySelector('.row')")
        await tab.click("#forget")
        await tab.until("!document.querySelector('#door').hidden")
        assert await tab.value("JSON.stringify(sessionStorage)") == "{}"
        # A refused key is an error of the network to the browser; nothing else is.
        tab.troubles = [told for told in tab.troubles if "401" not in told]

    with serving(Sidecar(make_router(tmp_path), keys=store)) as url:
        for text in texts.values():
            httpx.post(f"{url}/v1/chat/completions", json={"messages": HELLO}, headers={"x-api-key": text})
        browse(work)


def test_it_fits_a_narrow_window_and_a_dark_room_and_says_when_the_sidecar_is_gone(tmp_path: Path) -> None:
    async def work(tab: Tab) -> None:
        colors = []
        with serving(Sidecar(make_router(tmp_path))) as url:
            for model in ("auto", "best", "nobody"):
                httpx.post(f"{url}/v1/chat/completions", json={"model": model, "messages": HELLO})
            for scheme in ("light", "dark"):
                await tab.open(url, width=360, scheme=scheme)
                await tab.until("document.querySelectorAll('.row').length == 3")
                await tab.click("#theme")
                await tab.click("#theme")
                colors.append(await tab.value("getComputedStyle(document.body).backgroundColor"))
            await tab.click(".row button")
            assert await tab.value("document.documentElement.scrollWidth") <= 360
            assert "404" in await tab.value("document.querySelector('.row .bad').innerText")
        assert colors[0] != colors[1]
        assert "cannot be reached" in await tab.until("document.querySelector('#problem').innerText")
        tab.troubles = [told for told in tab.troubles if "Failed to load resource" not in told]

    browse(work)
