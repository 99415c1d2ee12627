"""The backends of the public traces, as somebody would have put them into models.yaml: tier and price."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ...backends import BackendSpec, Price
from ...backends.spec import Tier

_USD_PER_1M_PER_BILLION = 0.0134  # parameters: the set that charges by size alone
_CHARGED_BY_SIZE = "mixed_9_open_models"

# Beginning of the name, tier, list price of input and output in USD per million tokens when the traces were made.
_LISTED = """
claude-3-haiku                small  0.25    1.25
claude-3.5-haiku              small  0.80    4.00
claude-3-opus                 mid   15.00   75.00
claude-3.5-sonnet             mid    3.00   15.00
codegemma-7b                  small  0.07    0.07
command-r7b                   small  0.0375  0.15
deepseek-r1                   lrm    0.55    2.19
deepseek-v3                   mid    0.14    0.28
gemini-1.5-flash              small  0.075   0.30
gemini-1.5-pro                mid    1.25    5.00
gemma-2-9b                    small  0.03    0.06
gpt-4-1106                    mid   10.00   30.00
gpt-4o                        mid    2.50   10.00
gpt-4o-mini                   small  0.15    0.60
grok-2                        mid    2.00   10.00
grok-beta                     mid    5.00   15.00
llama-3-8b                    small  0.03    0.06
llama-3.1-8b                  small  0.02    0.05
llama-3.1-70b                 mid    0.12    0.30
llama-3.1-405b                mid    0.80    0.80
llama-3.1-nemotron-51b        mid    0.50    0.50
llama-3.3-70b                 mid    0.12    0.30
llama-3.3-nemotron-super-49b  mid    0.50    0.50
llama3-chatqa-1.5-8b          small  0.07    0.07
llama3-chatqa-1.5-70b         mid    0.70    0.70
mistral-7b                    small  0.07    0.07
mistral-large                 mid    2.00    6.00
mistral-medium                mid    2.75    8.10
mistral-nemo                  small  0.03    0.07
mistral-small                 small  0.20    0.60
mixtral-8x7b                  small  0.24    0.24
o1-mini                       lrm    3.00   12.00
o1-preview                    lrm   15.00   60.00
qwen-2.5-7b                   small  0.04    0.10
qwen-2.5-72b                  mid    0.12    0.39
qwq-32b                       lrm    0.20    0.20
"""

# What other sites call them.
_SPELLINGS: Mapping[str, str] = {
    "meta-": "",
    "qwen2.5": "qwen-2.5",
    "claude-3-5": "claude-3.5",
    "gemini-flash-1.5": "gemini-1.5-flash",
    "gemini-pro-1.5": "gemini-1.5-pro",
}


def model_of(backend: str) -> str:
    """Returns the model behind a backend of the public traces, whichever version, prompt style or site.

    Raises:
        KeyError: the table does not have it.
    """
    name = backend.lower().rpartition("/")[2]
    for spelling, known in _SPELLINGS.items():
        name = name.replace(spelling, known)
    found = [model for model in MODELS if name.startswith(model)]
    if not found:
        raise KeyError(f"{backend}: no tier and price are known; add it to the table in training/prior/models.py")
    return max(found, key=len)


def spec_of(backend: str, set_name: str) -> BackendSpec:
    """Returns the backend as models.yaml would describe it to whoever has the queries of that set."""
    spec = replace(MODELS[model_of(backend)], name=backend)
    if set_name == _CHARGED_BY_SIZE:
        billions = re.search(r"(\d+)b\b", backend)
        assert billions is not None  # every name in that set tells
        price = round(int(billions[1]) * _USD_PER_1M_PER_BILLION, 3)
        spec = replace(spec, price=Price(usd_per_1m_input=price, usd_per_1m_output=price))
    return spec


def _listed(line: str) -> BackendSpec:
    model, tier, usd_input, usd_output = line.split()
    tiers: Mapping[str, Tier] = {"small": "small", "mid": "mid", "lrm": "lrm"}
    price = Price(usd_per_1m_input=float(usd_input), usd_per_1m_output=float(usd_output))
    return BackendSpec(name=model, type="replay", model=model, tier=tiers[tier], price=price)


MODELS: Mapping[str, BackendSpec] = {spec.model: spec for spec in map(_listed, _LISTED.strip().splitlines())}
