"""Grading by another model, which is asked through a backend of models.yaml."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError, MalformedReply, Message, Query
from ..prompts import Prompt
from ..rows import shown
from .judge_prompts import AGAIN, ONE, PAIR, REFERENCE

if TYPE_CHECKING:
    from . import Ask, AskOf

_SCORE = re.compile(r"SCORE: (0|1|0?\.\d{1,6}|0\.\d{1,6}|1\.0{1,6})")
_VERDICT = re.compile(r"VERDICT: (A|B|TIE)")
_WORTH = {"A": 1.0, "B": 0.0, "TIE": 0.5}  # to the answer that was shown first


class JudgeGrader:
    """The score that the backend in `judge:BACKEND` gives when it is shown question, reference and answer."""

    def __init__(self, argument: str, ask_of: AskOf) -> None:
        if not argument:
            raise ConfigError("grader judge: expected judge:BACKEND, a backend of models.yaml")
        self._ask = ask_of(argument)

    def check(self, prompt: Prompt) -> None:
        """Accepts every prompt: a judge does without an expected answer."""

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns the judge's score.

        Raises:
            BackendError: the judge cannot be asked, or gave no score twice.
        """
        tag = _tag(prompt.query, completion.text)
        words = ONE.format(
            tag=tag, question=prompt.query, reference=_reference(prompt, tag), answer=completion.text.strip()
        )
        return float(await _verdict(self._ask, words, _SCORE))


async def judge_pair(ask: Ask, prompt: Prompt, first: str, second: str) -> float:
    """Returns 1 where the judge prefers the first answer, 0 where the second, 0.5 for a tie.

    It is asked twice, the second time with the answers in each other's place; where it then prefers another one,
    it is the place that it prefers, and the result a tie.

    Raises:
        BackendError: the judge cannot be asked, or gave no verdict twice.
    """
    tag = _tag(prompt.query, first, second)
    reference = _reference(prompt, tag)

    def words(a: str, b: str) -> str:
        return PAIR.format(tag=tag, question=prompt.query, reference=reference, first=a.strip(), second=b.strip())

    straight, swapped = await asyncio.gather(
        _verdict(ask, words(first, second), _VERDICT), _verdict(ask, words(second, first), _VERDICT)
    )
    one, other = _WORTH[straight], 1 - _WORTH[swapped]
    return one if one == other else 0.5


async def _verdict(ask: Ask, words: str, form: re.Pattern[str]) -> str:
    """Returns what the last line of the judge's reply says; a reply of another form is asked for again, once."""
    messages: tuple[Message, ...] = ({"role": "user", "content": words},)
    reply = await ask(Query(messages=messages, params={"temperature": 0}))
    found = _last_line(reply.text, form)
    if found is None:
        messages += ({"role": "assistant", "content": reply.text or "-"}, {"role": "user", "content": AGAIN})
        reply = await ask(Query(messages=messages, params={"temperature": 0}))
        found = _last_line(reply.text, form)
    if found is None:
        last = reply.text.strip().rpartition("\n")[2]
        raise MalformedReply(f"the judge's reply ends in {shown(last)}; expected {form.pattern.partition(' ')[0]} ...")
    return found


def _last_line(text: str, form: re.Pattern[str]) -> str | None:
    """Returns what stands in the form; None unless exactly the last line has it, emphasis aside."""
    line = text.strip().rpartition("\n")[2].strip().strip("*`").strip()
    match = form.fullmatch(line)
    return match[1] if match else None


def _reference(prompt: Prompt, tag: str) -> str:
    return REFERENCE.format(tag=tag, answers="\nor: ".join(prompt.answers)) if prompt.answers else ""


def _tag(*texts: str) -> str:
    """Returns a word that depends on all texts, so that none of them can hold it on purpose."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()[:8]
