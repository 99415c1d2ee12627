from __future__ import annotations

import pytest

from penstock.backends import ConfigError
from penstock.backends.prices import price_of, price_table_version


def test_price_of_a_known_model_is_in_usd_per_million() -> None:
    price = price_of("gpt-4o-mini", provider="openai")
    assert 0 < price.usd_per_1m_input < price.usd_per_1m_output < 10
    assert price.usd_per_1m_cached_input is not None
    assert price.usd_per_1m_cached_input < price.usd_per_1m_input


def test_price_of_writing_to_a_cache_is_in_the_table_too() -> None:
    price = price_of("claude-sonnet-4-5", provider="anthropic")
    assert price.usd_per_1m_cache_write == 1.25 * price.usd_per_1m_input
    assert price.usd_per_1m_cache_write_1h == 2 * price.usd_per_1m_input


def test_provider_may_be_given_by_its_address() -> None:
    by_address = price_of("deepseek-chat", provider="https://api.deepseek.com/v1")
    assert by_address == price_of("deepseek-chat", provider="deepseek")


def test_price_by_tiers_is_that_of_short_prompts() -> None:
    assert price_of("gemini-2.5-pro").usd_per_1m_input == 1.25


def test_unknown_model_is_told_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"'gpt-4o-mnii'.*gpt-4o-mini \(openai\)"):
        price_of("gpt-4o-mnii")


def test_model_at_an_unknown_address_has_no_price() -> None:
    with pytest.raises(ConfigError, match="localhost"):
        price_of("gpt-4o-mini", provider="http://localhost:8000/v1")


def test_version_names_the_table() -> None:
    name, _, version = price_table_version().partition(" ")
    assert (name, version[:1].isdigit()) == ("genai-prices", True)
