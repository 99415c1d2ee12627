"""The formats that the sidecar speaks, by the path where it speaks them.

Whatever comes in becomes one `Query`, in the form of OpenAI's chat completions, and keeps its own words beside it: a
backend of the same format is sent these, and its reply goes back as it came. Everything else is translated.
"""

from __future__ import annotations

from collections.abc import Mapping

from .chat import ChatFormat
from .format import Format, Reading, Request, Writer
from .messages import MessagesFormat
from .request import read_request
from .responses import ResponsesFormat

FORMATS: Mapping[str, Format] = {
    "/v1/chat/completions": ChatFormat(),
    "/v1/messages": MessagesFormat(),
    "/v1/responses": ResponsesFormat(),
}

__all__ = ["FORMATS", "Format", "Reading", "Request", "Writer", "read_request"]
