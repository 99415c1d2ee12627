"""Turns generated tokens into text while they come: whole characters, thinking split off, cut at stop strings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from .local_sampling import Choice
from .thinking import ThinkSplitter

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what decoders write for bytes that are no character (yet)
WINDOW = 16  # tokens decoded together; a decoder may need the ones before to place a space
OVERLAP = 4

Decode = Callable[[list[int]], str]


class TokenText:
    """Decodes tokens one by one into the text they have together, never half a character.

    >>> text = TokenText(lambda tokens: bytes(tokens).decode(errors="replace"))
    >>> [text.push(byte) for byte in "é!".encode()], text.close()
    (['', 'é', '!'], '')
    """

    __slots__ = ("_decode", "_given", "_window")

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._given = 0  # characters of the window's text that were already returned

    def push(self, token: int) -> str:
        """Returns the characters that `token` completes; none while one is unfinished."""
        self._window.append(token)
        text = self._decode(self._window)
        n_broken = len(text) - len(text.rstrip(BROKEN))
        # An unfinished character shows as one to three signs, by decoder; those before them stay broken.
        piece = text[self._given : len(text) - min(n_broken, 3)]
        self._given += len(piece)
        if not n_broken and len(self._window) >= WINDOW:
            self._window = self._window[-OVERLAP:]
            self._given = len(self._decode(self._window))
        return piece

    def close(self) -> str:
        """Returns what was held back: no more tokens come, so broken characters stay broken."""
        return self._decode(self._window)[self._given :] if self._window else ""


class StopStrings:
    """Passes text on up to the first of the stop strings, which is left out.

    >>> stop = StopStrings(("END",))
    >>> stop.push("1 E"), stop.push("ND 2"), stop.is_reached
    ('1 ', '', True)
    """

    __slots__ = ("_held", "_stops", "is_reached")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.is_reached = False

    def push(self, text: str) -> str:
        """Returns the text that is certain to come before any stop string."""
        if not self._stops:
            return text
        if self.is_reached:
            return ""
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_reached, self._held = True, ""
            return text[: min(places)]
        n_held = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def close(self) -> str:
        """Returns what was held back: half a stop string is just text."""
        held, self._held = self._held, ""
        return held


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One finished answer, and which tokens belong to it."""

    text: str
    reasoning: str
    tokens: tuple[str, ...]  # of the answer; joined they are `text`
    logprobs: tuple[float, ...]  # one per token of the answer; likewise the next two
    entropies: tuple[float, ...]
    margins: tuple[float, ...]
    reasoning_logprobs: tuple[float, ...]  # one per token before it
    reasoning_tokens: int  # up to the first token of the answer: thinking, its tags, space between


class TranscriptWriter:
    """Takes one row's tokens, gives (reasoning, answer) pieces, and in the end the `Transcript`.

    Stop strings are looked for in the answer only. A token whose characters are partly in the answer
    belongs to it; of several tokens that share a character, the last one carries it in `tokens`.
    """

    def __init__(
        self, decode: Decode, *, hidden_tokens: Collection[int], starts_inside: bool, stops: Sequence[str]
    ) -> None:
        self._hidden_tokens = hidden_tokens
        self._text = TokenText(decode)
        self._splitter = ThinkSplitter(starts_inside=starts_inside)
        self._stops = StopStrings(stops)
        self._shown: list[str] = []  # all text
        self._reasoning: list[str] = []
        self._answer: list[str] = []
        self._n_uncut = 0  # characters of the answer before stop strings cut it
        self._n_shown = 0
        self._n_pending = 0  # tokens whose text has not come out yet
        self._choices: list[Choice] = []
        self._spans: list[tuple[int, int, bool]] = []  # first and last character of each token; does it carry them

    @property
    def is_stopped(self) -> bool:
        """Whether the answer has reached a stop string."""
        return self._stops.is_reached

    def push(self, choice: Choice) -> tuple[str, str]:
        """Returns the reasoning and the answer that the next token makes certain."""
        self._choices.append(choice)
        self._n_pending += 1
        if choice.token in self._hidden_tokens:
            return "", ""
        piece = self._text.push(choice.token)
        if not piece:
            return "", ""
        self._place(piece)
        return self._sort(*self._splitter.feed(piece))

    @property
    def is_reasoning(self) -> bool:
        """Whether the next token belongs to the reasoning."""
        return self._splitter.is_inside

    def close(self) -> tuple[str, str]:
        """Returns the last pieces, once no more tokens come."""
        piece = self._text.close()
        self._place(piece)
        reasoning, answer = self._sort(*self._splitter.feed(piece))
        last_reasoning, last_answer = self._sort(*self._splitter.close())
        rest = "" if self.is_stopped else self._stops.close()
        self._answer.append(rest)
        return reasoning + last_reasoning, answer + last_answer + rest

    def transcript(self) -> Transcript:
        """Returns the whole answer; to be asked for after `close`."""
        shown, text = "".join(self._shown), "".join(self._answer)
        start = len(shown) - self._n_uncut  # the answer is always the end of what is shown
        end = start + len(text)
        tokens: list[str] = []
        chosen: list[Choice] = []
        before: list[Choice] = []
        for (first, last, is_carrier), choice in zip(self._spans, self._choices, strict=True):
            if last > start and first < end:
                tokens.append(shown[max(first, start) : min(last, end)] if is_carrier else "")
                chosen.append(choice)
            elif start and last <= start:
                before.append(choice)
        return Transcript(
            text=text,
            reasoning="".join(self._reasoning),
            tokens=tuple(tokens),
            logprobs=tuple(choice.logprob for choice in chosen),
            entropies=tuple(choice.entropy for choice in chosen),
            margins=tuple(choice.margin for choice in chosen),
            reasoning_logprobs=tuple(choice.logprob for choice in before),
            reasoning_tokens=len(before),
        )

    def _place(self, piece: str) -> None:
        """Notes which characters the tokens since the last piece stand for."""
        first, last = self._n_shown, self._n_shown + len(piece)
        if self._n_pending:
            self._spans += [(first, last, False)] * (self._n_pending - 1) + [(first, last, True)]
        elif piece:  # broken characters that were held back behind earlier ones
            self._spans[-1] = (self._spans[-1][0], last, True)
        self._n_pending = 0
        self._n_shown = last
        self._shown.append(piece)

    def _sort(self, reasoning: str, answer: str) -> tuple[str, str]:
        """Returns the pieces as the caller gets them, and keeps them."""
        self._n_uncut += len(answer)
        answer = self._stops.push(answer)
        self._reasoning.append(reasoning)
        self._answer.append(answer)
        return reasoning, answer


def _overlap(text: str, stop: str) -> int:
    """Returns how many characters at the end of `text` could be the beginning of `stop`."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
