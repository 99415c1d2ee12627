"""Texts that are written to make a reader slow or to make it fail."""

from __future__ import annotations

HOSTILE = {
    "empty": "",
    "spaces": " " * 1_000_000,
    "a megabyte": "The answer is 12. " * 60_000,
    "bytes": bytes(range(256)).decode("latin-1") * 200,
    "lone surrogates": "\ud800\udfff" * 20_000,
    "open sums": "1+" * 50_000,
    "open brackets": "(" * 100_000,
    "digits": "7" * 100_000,
    "digits after an equals sign": "1 + 1 = " + "7" * 100_000,
    "equals signs": "=" * 100_000,
    "thousands": "1," * 50_000,
    "spaced digits": ("1" + " " * 60) * 2000,
    "minus signs": "1" + "-" * 50_000 + "1 = 2",
    "other digits": "٣ + ٤ = ٧, ௧௨௩ = ९",
    "huge numbers": "9" * 400 + " * 9 = 1e999, -" + "9" * 400,
    "division by nothing": "1 / 0 = 5, (1 - 1) / (1 - 1) = 1, 0 / 0 = 0",
    "word endings": "assum" + "a" * 100_000,
    "line breaks": "\n" * 100_000,
    "percent signs": "%" * 100_000 + "= 5%",
    "nul": "\0" * 5000,
}
