"""Server-sent events out of the bytes of a reply, as they come."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One server-sent event: its name, `message` where the server gave none, and its data."""

    name: str
    data: bytes


class EventParser:
    """Takes bytes in pieces of any size and gives back the events that are complete.

    Lines end with LF, CRLF or CR. A field named `error` is taken as data of an event of that name:
    older llama.cpp servers report failures so.

    >>> parser = EventParser()
    >>> parser.feed(b"data: 1\\n\\ndata:"), parser.feed(b" 2\\r\\n"), parser.close()
    ([Event(name='message', data=b'1')], [], [Event(name='message', data=b'2')])
    """

    __slots__ = ("_data", "_is_between", "_is_first", "_name", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a line that has not ended, so that long ones are joined once
        self._data: list[bytes] = []  # of the event that has not ended
        self._name = ""
        self._is_first = True
        self._is_between = True  # no event has begun that has not ended

    def feed(self, piece: bytes) -> list[Event]:
        """Returns the events that `piece` completes."""
        if self._is_between and piece.startswith(b"data: ") and piece.endswith(b"\n\n") and b"\r" not in piece:
            found = piece[6:-2].split(b"\n\ndata: ")
            if (
                piece.count(b"\n") == 2 * len(found) and b"" not in found
            ):  # whole events of one line each, as most servers send them
                self._is_first = False
                return [tuple.__new__(Event, ("message", data)) for data in found]  # what `Event` comes to in the end
        if b"\n" not in piece and b"\r" not in piece and not (self._pieces and self._pieces[-1].endswith(b"\r")):
            self._pieces.append(piece)
            self._is_between = False
            return []
        self._pieces.append(piece)
        text = b"".join(self._pieces)
        if b"\r" in text:
            # A CR at the end may be half a CRLF: it waits for the next piece.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        lines = text.split(b"\n")
        rest = lines.pop() + held
        self._pieces = [rest] if rest else []
        events = self._read(lines)
        self._is_between = not (self._pieces or self._data or self._name)
        return events

    def close(self) -> list[Event]:
        """Returns the last event where the server left out the empty line after it."""
        rest = b"".join(self._pieces).removesuffix(b"\r")
        self._pieces = []
        return self._read([rest, b""])

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        if self._is_first and lines:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            self._is_first = False
        for line in lines:
            if not line:
                if any(self._data):  # without data, it is a sign of life
                    events.append(Event(self._name or "message", b"\n".join(self._data)))
                self._data = []
                self._name = ""
                continue
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                self._data.append(value)
            elif field == b"event":
                self._name = value.decode("utf-8", "replace")
            elif field == b"error":
                self._name = "error"
                self._data.append(value)
        return events
