"""Log-probabilities of the answer alone, out of those of everything that was generated."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_SPECIAL = re.compile(rb"\s*(?:<\|[^|<>]*\|>|</?s>|<[a-z_]+>|\[/?INST\])?\s*")


class TokenLogprob(NamedTuple):
    """One generated token: its text, its bytes, the natural log of its probability, and what else was likely there."""

    text: str
    raw: bytes
    logprob: float
    alternatives: Alternatives | None = None  # None: not told


class Alternatives(NamedTuple):
    """How open the choice of one token was."""

    entropy: float  # in nats
    margin: float  # log-probability of the likeliest token less that of the second


def read_logprobs(content: Any) -> list[TokenLogprob] | None:
    """Returns the tokens of a `logprobs` object, in the chat or the older completion form.

    None where there is none, or where a token lacks its number: a mean over some of them would mislead.
    """
    if not isinstance(content, Mapping):
        return None
    entries = content.get("content")
    if isinstance(entries, list):
        tokens = [_read_entry(entry) for entry in entries]
        return None if None in tokens else [token for token in tokens if token is not None]
    texts, numbers = content.get("tokens"), content.get("token_logprobs")
    if isinstance(texts, list) and isinstance(numbers, list) and len(texts) == len(numbers):
        return read_logprobs(
            {"content": [{"token": text, "logprob": number} for text, number in zip(texts, numbers, strict=True)]}
        )
    return None


def alternatives_of(tokens: Sequence[TokenLogprob]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns entropies and margins, one a token each; None where one token lacks them, or there is no token.

    >>> sure, torn = Alternatives(0.0, 9.0), Alternatives(0.7, 0.1)
    >>> alternatives_of([TokenLogprob("39", b"39", -0.1, sure), TokenLogprob("1", b"1", -0.7, torn)])
    ((0.0, 0.7), (9.0, 0.1))
    """
    known = [token.alternatives for token in tokens if token.alternatives is not None]
    if not known or len(known) < len(tokens):
        return None
    return tuple(each.entropy for each in known), tuple(each.margin for each in known)


def align(tokens: Sequence[TokenLogprob], answer: str) -> list[TokenLogprob] | None:
    """Returns the tokens that make up `answer`; None where they cannot be told.

    Some servers report the tokens of the reasoning and of special marks too, and the answer is what
    comes last. So tokens are matched from the end, by their bytes: a character may span several.
    White space at either end of the answer may belong to a token that reaches beyond it.

    >>> texts = ("hm", "</think>", "\\n\\n", "39", "1", "<|end|>")
    >>> tokens = [TokenLogprob(text, text.encode(), -0.1) for text in texts]
    >>> [token.text for token in align(tokens, "391")]
    ['39', '1']
    """
    target = answer.strip().encode("utf-8", "replace")
    if not target:
        return None
    end = len(tokens)
    while end and _SPECIAL.fullmatch(tokens[end - 1].raw):
        end -= 1
    start, size = end, 0
    while start and size < len(target):
        start -= 1
        raw = tokens[start].raw
        size += len(raw if start < end - 1 else raw.rstrip())
    chosen = tokens[start:end]
    joined = b"".join(token.raw for token in chosen)
    if joined.strip() != target:
        return None
    # White space that opens the answer may be a token of its own.
    opening = answer[: len(answer) - len(answer.lstrip())].encode()
    while start and opening and tokens[start - 1].raw and opening.endswith(tokens[start - 1].raw):
        start -= 1
        opening = opening[: len(opening) - len(tokens[start].raw)]
    return list(tokens[start:end])


def _read_entry(entry: Any) -> TokenLogprob | None:
    if not isinstance(entry, Mapping):
        return None
    text, logprob, raw = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(text, str) or not isinstance(logprob, int | float) or math.isnan(logprob):
        return None
    try:
        encoded = bytes(raw) if isinstance(raw, list) else text.encode("utf-8", "replace")
    except (TypeError, ValueError):
        return None
    return TokenLogprob(text, encoded, min(float(logprob), 0.0), _read_alternatives(entry.get("top_logprobs")))


def _read_alternatives(listed: Any) -> Alternatives | None:
    """Returns what the likeliest tokens of one place tell; None where fewer than two are listed, or one is no number.

    Those that are not listed are taken together as one, so that the entropy is never above the true one (Cover and
    Thomas 2006, "Elements of Information Theory", chapter 2: grouping outcomes lowers entropy).
    """
    if not isinstance(listed, list) or len(listed) < 2:
        return None
    logprobs = [entry.get("logprob") if isinstance(entry, Mapping) else None for entry in listed]
    values = [min(float(value), 0.0) for value in logprobs if isinstance(value, int | float) and not math.isnan(value)]
    if len(values) < len(listed):
        return None
    values.sort(reverse=True)
    entropy, rest = 0.0, 1.0
    for value in values:
        probability = math.exp(value)
        entropy -= probability * value if probability else 0.0
        rest -= probability
    if rest > 0:
        entropy -= rest * math.log(rest)
    return Alternatives(entropy, values[0] - values[1])
