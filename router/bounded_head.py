"""HTTP/1.1 as uvicorn reads it, with a bound on what a request may send before it can be looked at."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .formats.events import encode_json

MAX_HEAD_BYTES = 64 << 10  # of the request line and headers; real ones have one or two KiB


class BoundedHead(HttpToolsProtocol):
    """Ends connections on which a head grows without end: it is kept in memory, and nobody has shown a key yet."""

    _is_head = False
    _n_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Reads what has come, up to the end of a head or its bound."""
        was_head = self._is_head
        super().data_received(data)
        if was_head and self._is_head:  # else most of it may have been the body of the request before
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_HEAD_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        """Notes that a head begins."""
        self._is_head, self._n_head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Notes that the head is read."""
        self._is_head = False
        super().on_headers_complete()

    def _refuse(self) -> None:
        message = f"the request line and headers are larger than {MAX_HEAD_BYTES} bytes"
        body = encode_json(
            {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
        )
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        self.transport.close()
