"""The page as the sidecar serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...backends import Query
from ..asgi import Receive, Scope
from ..figures import Figures
from ..keys import Key, refuse_from_afar
from ..reply import Reply
from ..router import Router
from .activity import activity, beginning_of, read_after
from .files import page_file
from .recent import Recent


class Page:
    """Serves the files of the page and what it shows; `recent` is to be told of every request.

    `total` gives the figures of all workers. `is_for_all`: there are no keys, so that only this machine is told
    anything.
    """

    def __init__(
        self,
        router: Router,
        *,
        total: Callable[[], Awaitable[Figures]],
        is_for_all: bool,
        clock: Callable[[], float],
    ) -> None:
        self.recent = Recent()
        self._router = router
        self._total = total
        self._is_for_all = is_for_all
        self._clock = clock
        self._started_at = clock()
        self._traces = router.config.traces
        self._content = self._traces.open_content()

    def beginning_of(self, query: Query) -> str:
        """Returns how a query begins, where models.yaml says that content may be kept."""
        if self._traces is not self._router.config.traces:  # models.yaml was read anew
            self._traces = self._router.config.traces
            self._content = self._traces.open_content()
        return beginning_of(query, self._content)

    async def file(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        """Replies with a file."""
        found = page_file(scope["path"])
        await reply.text(found.content, content_type=found.content_type, headers=found.headers)

    async def activity(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        """Replies with what the key may see."""
        if self._is_for_all:
            refuse_from_afar(scope)
        after, now = read_after(scope.get("query_string", b"")), self._clock()
        figures = await self._total()
        told = activity(self.recent, figures, self._router, key, after=after, started_at=self._started_at, now=now)
        await reply.json(told, headers=[(b"cache-control", b"no-store")])
