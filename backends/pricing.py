"""What a call costs."""

from __future__ import annotations

from .spec import Price
from .types import Usage


def cost_usd(usage: Usage, price: Price) -> float:
    """Returns the price of one call; cached input is counted once, at its own price.

    >>> cost_usd(Usage(input_tokens=1000, output_tokens=500), Price(usd_per_1m_input=1, usd_per_1m_output=4))
    0.003
    """
    cached_price = price.usd_per_1m_cached_input
    if cached_price is None:
        cached_price = price.usd_per_1m_input
    fresh_tokens = max(usage.input_tokens - usage.cached_input_tokens, 0)
    total = (
        fresh_tokens * price.usd_per_1m_input
        + usage.cached_input_tokens * cached_price
        + usage.output_tokens * price.usd_per_1m_output
    )
    return total / 1e6
