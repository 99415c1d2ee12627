"""A verifier: whether an answer is in the unit asked for, and whether it turns one unit into another rightly."""

from __future__ import annotations

import math
import re
from itertools import islice

from ...backends import Completion, Query
from ..final_answer import answer_span

_MAX_CHARACTERS = 20_000
_MAX_CONVERSIONS = 40
_BEHIND = 24  # characters after the final answer in which its unit may stand
_TOLERANCE = 0.02  # people write 1.6 km for a mile, 240 ml for a cup and 28 g for an ounce

# Dimension -> unit -> how many of the base unit it is. Plurals are understood.
_TABLE: dict[str, dict[str, float]] = {
    "time": {
        "second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "day": 86400, "week": 604_800,
        "fortnight": 1_209_600, "month": 2_629_800, "year": 31_557_600, "decade": 315_576_000, "century": 3_155_760_000,
        "millisecond": 1e-3, "ms": 1e-3,
    },
    "length": {
        "meter": 1, "metre": 1, "m": 1, "kilometer": 1e3, "kilometre": 1e3, "km": 1e3, "centimeter": 1e-2,
        "centimetre": 1e-2, "cm": 1e-2, "millimeter": 1e-3, "millimetre": 1e-3, "mm": 1e-3, "inch": 0.0254,
        "foot": 0.3048, "ft": 0.3048, "yard": 0.9144, "yd": 0.9144, "mile": 1609.344,
    },
    "mass": {
        "gram": 1, "g": 1, "kilogram": 1e3, "kg": 1e3, "milligram": 1e-3, "mg": 1e-3, "tonne": 1e6, "pound": 453.59237,
        "lb": 453.59237, "ounce": 28.349523, "oz": 28.349523,
    },
    "volume": {
        "liter": 1, "litre": 1, "l": 1, "milliliter": 1e-3, "millilitre": 1e-3, "ml": 1e-3, "gallon": 3.785412,
        "quart": 0.946353, "pint": 0.473176, "cup": 0.236588, "tablespoon": 0.0147868, "teaspoon": 0.00492892,
    },
    "money": {"dollar": 1, "cent": 0.01, "dime": 0.1, "nickel": 0.05, "quarter": 0.25},
    "euros": {"euro": 1}, "sterling": {"sterling": 1}, "yen": {"yen": 1}, "rupees": {"rupee": 1},
    "data": {
        "bit": 0.125, "byte": 1, "kilobyte": 1e3, "kb": 1e3, "megabyte": 1e6, "mb": 1e6, "gigabyte": 1e9, "gb": 1e9,
        "terabyte": 1e12, "tb": 1e12,
    },
    "energy": {"joule": 1, "kilojoule": 1e3, "kj": 1e3, "calorie": 4.184, "kcal": 4184,
               "kilocalorie": 4184, "kwh": 3.6e6},
    "power": {"watt": 1, "kilowatt": 1e3, "kw": 1e3, "megawatt": 1e6, "horsepower": 745.7},
    "pressure": {"pascal": 1, "kilopascal": 1e3, "kpa": 1e3, "psi": 6894.757},
    "temperature": {"celsius": 1, "fahrenheit": 2, "kelvin": 3},  # told apart; what one is in another takes more
    "angle": {"degree": 1, "radian": 57.29577951},
    "count": {"dozen": 12},
}  # fmt: skip
_IRREGULAR = {"inches": "inch", "feet": "foot", "centuries": "century", "dozens": "dozen"}
_SIGNS = {"$": "dollar", "¢": "cent", "€": "euro", "£": "sterling", "¥": "yen", "₹": "rupee", "°": "degree"}
_SIGNS |= {f"°{space}{letter}": unit for letter, unit in (("C", "celsius"), ("F", "fahrenheit")) for space in ("", " ")}
# Months and years of so many days, quarters of an hour and kilobytes are told in too many ways to call one of them
# wrong, and calories are often kilocalories.
_LOOSE = {"month", "year", "decade", "century", "quarter", "calorie", *_TABLE["data"]}
_LOOSE |= {"celsiu", "fahrenheit", "kelvin"}  # as they are without the `s` of a plural

_UNITS = {
    name: (dimension, factor)
    for dimension, units in _TABLE.items()
    for unit, factor in units.items()
    for name in (unit, unit + "s")
}
_UNITS |= {plural: _UNITS[unit] for plural, unit in _IRREGULAR.items()}
_NUMBER = r"\d[\d,]{0,15}(?:\.\d{1,12})?"
_WORD = r"[A-Za-z]{1,12}"  # which of them are units is looked up, which is faster than a pattern of all units
_SENTENCE_END = re.compile(r"[.!?]\s")
_ASKED = re.compile(
    rf"\b(?:how many|in|into|to|of) (?:total |more |full |whole |degrees? (?=[cfk]))?({_WORD})\b", re.IGNORECASE
)
_HOW_MUCH = re.compile(r"\bhow much (?:money|\w+ (?:spend|pay|earn|cost|save))\b", re.IGNORECASE)
_GIVEN = re.compile(rf"([$€£¥₹])?\s?({_NUMBER})\s?(?:degrees? (?=[CFK]))?(?:({_WORD})\b|(° ?[CF]\b|[°¢€£¥₹]))?")
_CONVERSION = re.compile(
    # What may not be in front of the first digit is looked at behind it: digits are quickly found.
    # What half of a number of units is, is no conversion.
    rf"(\d(?<![\d.,/*+×-]\d)(?<![/*+×-] \d)(?<![Oo]f \d)[\d,]{{0,15}}(?:\.\d{{1,12}})?) ?({_WORD}) ?"
    rf"(?:=|[Ii][Ss]\b|[Aa][Rr][Ee]\b|[Ee][Qq][Uu][Aa][Ll][Ss]?\b|≈) ?({_NUMBER}) ?({_WORD})\b"
    # of work, less than, later: what these say is no conversion either.
    r"(?! ?(?:/|[Pp][Ee][Rr]|of\b|less\b|more\b|longer\b|shorter\b|than\b|away\b|later\b|earlier\b))"
)


class UnitVerifier:
    """Whether the final answer has the unit, or at least the dimension, asked for; how many conversions are wrong."""

    names = ("is_asked_unit", "is_asked_dimension", "share_wrong")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where no unit is asked for, given, or converted."""
        asked, text = asked_unit(query.text[-_MAX_CHARACTERS:]), completion.text[-_MAX_CHARACTERS:]
        given = given_unit(text) if asked is not None else None
        checks = check_conversions(text)
        has_both = asked is not None and given is not None
        return (
            float(asked == given) if has_both else math.nan,
            float(asked[0] == given[0]) if asked is not None and given is not None else math.nan,
            checks.count(False) / len(checks) if checks else math.nan,
        )


def asked_unit(question: str) -> tuple[str, float] | None:
    """Returns dimension and size of the unit that the last sentence asks for, None where it asks for none.

    >>> asked_unit("A film lasts 2 hours. How many minutes is that?")
    ('time', 60)
    """
    last = _SENTENCE_END.split(question.rstrip(" .!?\n"))[-1]
    found = [word for word in _ASKED.findall(last) if word.lower() in _UNITS]
    if found:
        return _UNITS[found[-1].lower()]
    return _UNITS["dollar"] if _HOW_MUCH.search(last) else None


def given_unit(text: str) -> tuple[str, float] | None:
    """Returns dimension and size of the unit in which the final answer stands, None where it has none.

    >>> given_unit("So it takes 120 minutes."), given_unit("#### 120")
    (('time', 60), None)
    """
    span = answer_span(text)
    if span is None:
        return None
    for before, _, word, behind in _GIVEN.findall(text[max(span[0] - 2, 0) : span[1] + _BEHIND]):
        unit = word.lower() if word.lower() in _UNITS else _SIGNS.get(before) or _SIGNS.get(behind)
        if unit:
            return _UNITS[unit]
    return None


def check_conversions(text: str) -> list[bool]:
    """Returns for each conversion that is written out whether it holds.

    >>> check_conversions("2 hours = 120 minutes, and 3 feet is 30 inches")
    [True, False]
    """
    checks = []
    for left, one, right, other in islice(_CONVERSION.findall(text), _MAX_CONVERSIONS):
        if one.lower() not in _UNITS or other.lower() not in _UNITS:
            continue
        (dimension, factor), (same, size) = _UNITS[one.lower()], _UNITS[other.lower()]
        is_loose = any(unit.lower().rstrip("s") in _LOOSE for unit in (one, other))
        if dimension == same and factor != size and not is_loose:
            value, said = float(left.replace(",", "")) * factor, float(right.replace(",", "")) * size
            checks.append(abs(value - said) <= _TOLERANCE * max(value, said))
    return checks
