"""Which language a text is in, told by its script and its smallest words, and which one a question asks for."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

from .mentions import mentions_any

_MAX_CHARACTERS = 4000
_MIN_LETTERS, _MOST_LETTERS = 20, 200
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_WORD = re.compile(r"[^\W\d_]+")

# Frequent words; one that several languages have says so much less for each.
_SMALL_WORDS = {
    "english": "the a an and of is that was for are with this be it have from which you they there to not in on by",
    "french": "le la les l d des est une un dans pour que qui pas avec sont sur ce cette mais nous vous et du au de en",
    "german": "der die das und ist nicht ein eine mit den dem auf für von sich auch werden wird zu des im sind in es",
    "spanish": "el la los las es una un que de en por con para del como más pero su esta está son muy y lo se al no",
    "italian": "il lo la le i di che è una un per con non del della sono gli anche dei nel alla questo perché più e in",
    "portuguese": "o a os as um uma que de em no na não com para do da é dos das são mais como mas ao pela você à e",
    "dutch": "het een van en de is niet dat op te zijn met voor er ook maar wordt deze bij aan in ik je",
    "swedish": "och att det är som en på av för med inte den har till ett om var men i",
    "polish": "i w nie na się jest że to z do jak co są przez tym ale dla po od a",
    "turkish": "ve bir bu için ile çok olarak daha olan gibi ama değil en kadar sonra da de",
}
_WEIGHTS: dict[str, dict[str, float]] = {}
for _language, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _WEIGHTS.setdefault(_word, {})[_language] = 1.0
_WEIGHTS = {word: dict.fromkeys(shares, 1 / len(shares)) for word, shares in _WEIGHTS.items()}

_SCRIPTS = {
    **dict.fromkeys(_SMALL_WORDS, "LATIN"),
    **dict.fromkeys(("russian", "ukrainian", "bulgarian", "serbian"), "CYRILLIC"),
    **dict.fromkeys(("arabic", "persian", "urdu"), "ARABIC"),
    **dict.fromkeys(("hindi", "marathi", "nepali"), "DEVANAGARI"),
    **{"chinese": "CJK", "mandarin": "CJK", "japanese": "HIRAGANA", "korean": "HANGUL", "greek": "GREEK"},
    **{"hebrew": "HEBREW", "thai": "THAI", "bengali": "BENGALI", "tamil": "TAMIL"},
}
_OWN_NAMES = {
    "deutsch": "german", "français": "french", "francais": "french", "español": "spanish", "espanol": "spanish",
    "italiano": "italian", "português": "portuguese", "nederlands": "dutch", "englisch": "english",
    "anglais": "english", "inglés": "english", "inglese": "english", "inglês": "english",
}  # fmt: skip
_NAMES = "|".join((*_SCRIPTS, *_OWN_NAMES))
# One of which is in everything that asks for a language: quickly told where none of it is there.
_ASKING = (
    "answer", "respond", "reply", "response", "write", "written", "translat", "say", "said", "explain", "give",
    "speak", "summari", "describe", "antworte", "répond", "responda", "rispondi", "antwoord",
)  # fmt: skip
_ASKED = re.compile(
    r"\b(?:answer|respond|reply|response|write|written|translat\w+|say|said|explain|give|speak|summari[sz]e\w*|describe|"
    r"antworte\w*|réponds?|répondez|responde|responda|rispondi|antwoord)\b[^.?!\n]{0,80}?"
    rf"\b(?:in|into|to|auf|en|em)\s(?:only\s)?({_NAMES})\b"
    # not the law, the cuisine or the history of somewhere
    r"(?=\s*(?:[^\w\s]|\Z|\n|(?:only|please|and|or|as|because|with|for|the|what|which|why|how|who|when|where|to)\b))"
    rf"(?!\s*(?:,|/|&|and|or)\s*(?:{_NAMES})\b)",  # nor one of several that would do
    re.IGNORECASE,
)


def asked_language(question: str) -> str | None:
    """Returns the language that a question wants the answer to be in, None where it names none.

    >>> asked_language("Answer in French: who are you?"), asked_language("Who won in French football?")
    ('french', None)
    """
    found = _ASKED.findall(question) if mentions_any(question.lower(), _ASKING) else []
    name = found[-1].lower() if found else None
    return _OWN_NAMES.get(name, name) if name else None


def is_in(language: str, text: str) -> bool | None:
    """Returns whether a text is in a language, None where that cannot be told.

    >>> is_in("french", "The weather is nice and we are out"), is_in("french", "Paris, 1990")
    (False, None)
    """
    script = script_of(text)
    if not script:
        return None
    wanted = _SCRIPTS[language]
    if wanted == "HIRAGANA":
        return any(unicodedata.name(sign, "").startswith(("HIRAGANA", "KATAKANA")) for sign in text[:_MAX_CHARACTERS])
    if script != wanted:
        return False
    told = latin_language(text) if script == "LATIN" else language
    return None if told is None else told == language


def latin_language(text: str) -> str | None:
    """Returns the language of a text in Latin letters, None where its words do not tell it clearly."""
    weights = dict.fromkeys(_SMALL_WORDS, 0.0)
    for word in filter(_WEIGHTS.__contains__, _WORD.findall(text[:_MAX_CHARACTERS].lower())):
        for language, weight in _WEIGHTS[word].items():
            weights[language] += weight
    first, second = sorted(weights, key=lambda language: -weights[language])[:2]
    return first if weights[first] >= max(1.0, 1.3 * weights[second]) else None


def script_of(text: str) -> str:
    """Returns the script of most of the first letters, such as LATIN; '' where there are hardly any."""
    if text.isascii():
        n_letters = len(text[:_MAX_CHARACTERS].encode().translate(None, _NO_LETTERS))
        return "LATIN" if n_letters >= _MIN_LETTERS else ""
    letters = list(islice(filter(str.isalpha, text[:_MAX_CHARACTERS]), _MOST_LETTERS))
    names = [unicodedata.name(sign, "").partition(" ")[0] for sign in letters if sign >= "\u0250"]
    # A sign of these scripts says as much as some letters.
    weight = len(letters) + 2 * sum(name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") for name in names)
    if weight < _MIN_LETTERS:
        return ""
    names += ["LATIN"] * (len(letters) - len(names))
    return max(sorted(set(names)), key=names.count)
