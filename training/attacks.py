"""Ways to change the words of a query without changing what it asks."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

Attack = Callable[[str, random.Random], str]

_LOOK_ALIKES = str.maketrans("aceopxyACEHKMOPTX", "асеорхуАСЕНКМОРТХ")
_ZERO_WIDTH = "\u200b"
_ASIDE = (
    "The weather has been mild this week, and the market was full of people again on Saturday. My neighbour has painted"
    " her fence green. None of this has anything to do with what I would like to know. "
)
_WORD = re.compile(r"[A-Za-z]+")

# Words and turns of phrase that stand for each other in almost any question.
_PARAPHRASES: Mapping[str, str] = {
    "what is": "tell me what is",
    "how many": "what number of",
    "how much": "what amount of",
    "find": "work out",
    "calculate": "work out",
    "compute": "work out",
    "determine": "establish",
    "which": "what",
    "each": "every",
    "total": "overall",
    "buys": "purchases",
    "gets": "receives",
    "gives": "hands over",
    "begins": "starts",
    "largest": "biggest",
    "smallest": "least",
    "following": "given",
    "because": "since",
    "also": "in addition",
    "but": "yet",
    "if": "in case",
    "then": "after that",
    "whole": "entire",
    "number": "figure",
}
_PHRASE = re.compile(r"\b(" + "|".join(sorted(_PARAPHRASES, key=len, reverse=True)) + r")\b", re.IGNORECASE)


def _shout(text: str, _: random.Random) -> str:
    return text.upper()


def _whisper(text: str, _: random.Random) -> str:
    return text.lower()


def _space(text: str, rng: random.Random) -> str:
    """Returns the text with runs of white space where there was one space."""
    return re.sub(" ", lambda _: rng.choice((" ", "  ", "\n", "\t", "   ")), text) + "\n\n\n"


def _pad(text: str, _: random.Random) -> str:
    return _ASIDE * 2 + "\n\n" + text


def _pad_after(text: str, _: random.Random) -> str:
    return text + "\n\n" + _ASIDE * 2


def _mistype(text: str, rng: random.Random) -> str:
    """Returns the text with two letters swapped inside one word of eight."""

    def swapped(match: re.Match[str]) -> str:
        word = match[0]
        if len(word) < 4 or rng.random() > 1 / 8:
            return word
        place = rng.randrange(1, len(word) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return _WORD.sub(swapped, text)


def _disguise(text: str, rng: random.Random) -> str:
    """Returns the text with a third of its letters in look-alikes of another alphabet."""
    return "".join(sign.translate(_LOOK_ALIKES) if rng.random() < 1 / 3 else sign for sign in text)


def _perforate(text: str, rng: random.Random) -> str:
    """Returns the text with signs of no width inside its words."""
    return "".join(sign + _ZERO_WIDTH if sign.isalpha() and rng.random() < 1 / 5 else sign for sign in text)


def _paraphrase(text: str, _: random.Random) -> str:
    return _PHRASE.sub(lambda match: _PARAPHRASES[match[0].lower()], text)


def _ask_politely(text: str, _: random.Random) -> str:
    return f"Hello! I hope you are well. Could you please help me with this one?\n\n{text}\n\nThank you very much!"


def _ask_in_german(text: str, _: random.Random) -> str:
    return f"Bitte beantworte die folgende Frage und gib die Antwort auf Deutsch:\n\n{text}"


def _call_hard(text: str, _: random.Random) -> str:
    return f"This is an olympiad problem that only experts solve. Think step by step, very carefully.\n\n{text}"


def _call_easy(text: str, _: random.Random) -> str:
    return f"Quick and easy one, no need to think:\n\n{text}"


ATTACKS: Mapping[str, Attack] = {
    "capitals": _shout,
    "small letters": _whisper,
    "white space": _space,
    "padding before": _pad,
    "padding after": _pad_after,
    "typing errors": _mistype,
    "look-alikes": _disguise,
    "zero width": _perforate,
    "paraphrase": _paraphrase,
    "politeness": _ask_politely,
    "another language": _ask_in_german,
    "called hard": _call_hard,
    "called easy": _call_easy,
}
