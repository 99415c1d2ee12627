"""Writes chat messages as the text a model continues, with its own chat template."""

from __future__ import annotations

import re
from typing import Any

from .errors import InvalidRequest
from .local_model import LocalModel
from .spec import BackendSpec
from .types import Message, Query, text_of


def render_prompt(query: Query, spec: BackendSpec, model: LocalModel) -> str:
    """Returns the prompt. The template is told `reasoning_effort` and `options.template`; many ignore both.

    Raises:
        InvalidRequest: a message has parts other than text, tools are asked for and the template knows
            none, or the template refuses the messages.
    """
    import jinja2

    tools = query.params.get("tools") or None
    if (tools or any(_is_about_tools(message) for message in query.messages)) and not _knows_tools(model):
        raise InvalidRequest("tools: this model's chat template has no place for them", backend=spec.name)
    messages = [_plain(message, place, spec) for place, message in enumerate(query.messages)]
    variables: dict[str, Any] = dict(spec.options.get("template") or {})
    if spec.effort is not None:
        variables["reasoning_effort"] = spec.effort
    try:
        prompt: str = model.tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=True, tokenize=False, **variables
        )
    except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
        raise InvalidRequest(f"messages: the model's chat template refuses them: {error}", backend=spec.name) from error
    return prompt


def _plain(message: Message, place: int, spec: BackendSpec) -> dict[str, Any]:
    """Returns the message with its content as one string, which every template understands."""
    content = message.get("content")
    if isinstance(content, list | tuple):
        for number, part in enumerate(content):
            kind = "text" if isinstance(part, str) else part.get("type", "text")
            is_text = isinstance(part, str) or (kind in ("text", "refusal") and isinstance(part.get(kind), str))
            if not is_text:
                raise InvalidRequest(
                    f"messages[{place}].content[{number}]: expected text; a local model reads nothing else",
                    backend=spec.name,
                )
    return {**message, "content": text_of(message)}


def _is_about_tools(message: Message) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _knows_tools(model: LocalModel) -> bool:
    """Returns whether the chat template reads `tools`; a tokenizer may have one template of several for that."""
    template = model.tokenizer.chat_template
    texts = [template] if isinstance(template, str) else list(template.values())
    return any(re.search(r"\btools\b", text) for text in texts)
