"""What a conversation asks: the text that classifiers judge, the same in training and in serving."""

from __future__ import annotations

from ..backends import Message, Query, text_of

ENOUGH_BYTES = 60  # of UTF-8; a shorter message seldom tells by itself what is asked, in any language
SYSTEM_SIGNS = 300  # of a system prompt; what comes after them is the same for every query, and would drown it
_SYSTEM = ("system", "developer")


def question_of(query: Query) -> str:
    """Returns the text by which a query is judged.

    Before the first answer that is the text of every message. Later it is the user's last message, and of those before
    it as many as it takes to make sense of that: 'ok, go on' is as hard as what it goes on with. Answers and the
    results of tools are left out: most of a long conversation is made of them, they say what was found and not what is
    wanted, and training queries do not look like that. Of a system prompt, the beginning counts.

    >>> said = [("user", "Prove it."), ("assistant", "By induction ..."), ("user", "ok, go on")]
    >>> question_of(Query.from_messages([{"role": role, "content": text} for role, text in said]))
    'Prove it.\\nok, go on'
    """
    messages = query.messages
    if len(messages) == 1:
        return query.text
    system = [text[:SYSTEM_SIGNS] for message in messages if message["role"] in _SYSTEM and (text := text_of(message))]
    if all(message["role"] != "assistant" for message in messages):
        others = (text_of(message) for message in messages if message["role"] not in _SYSTEM)
        return "\n".join([*system, *filter(None, others)])
    question = "\n".join([*system, *_last_words(messages)])
    return question or query.text  # an image says nothing


def _last_words(messages: tuple[Message, ...]) -> list[str]:
    """Returns the user's last messages that say enough together, in their order."""
    words: list[str] = []
    n_bytes = 0
    for message in reversed(messages):
        if message["role"] == "user" and (text := text_of(message)):
            words.append(text)
            n_bytes += len(text.encode("utf-8", "replace"))
            if n_bytes >= ENOUGH_BYTES:
                break
    return words[::-1]
