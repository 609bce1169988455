# SPDX-License-Identifier: Apache-2.0
"""Which of torch's operators have a kernel for MPS, by the table that torch brings along (`native_functions.yaml`)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["runs_on_mps"]


def runs_on_mps(name: str) -> bool:
    """Whether an operator, such as "aten::add.Tensor", runs on MPS; true of those that the table does not have."""
    keys = _table().get(name.removeprefix("aten::").removesuffix(".default"))
    return keys is None or "MPS" in keys or any(key.startswith("Composite") for key in keys)


@cache
def _table() -> dict[str, frozenset[str]]:
    """Dispatch keys by operator."""
    keys: dict[str, set[str]] = {}
    delegates: dict[str, str] = {}
    name, in_dispatch = "", False
    for line in _lines():
        if line.startswith("- func:"):
            name, in_dispatch = line.removeprefix("- func:").partition("(")[0].strip(), False
            keys[name] = set()
        elif line.startswith("    ") and in_dispatch:
            keys[name] |= {key.strip() for key in line.partition(":")[0].split(",")}
        elif line.startswith("  ") and line.strip() and not line.strip().startswith("#"):
            field, _, value = line.strip().partition(":")
            in_dispatch = field == "dispatch"
            if field == "structured_delegate":
                delegates[name] = value.strip()
    # An operator of no key of its own is made of others.
    own = {name: frozenset(found or {"CompositeImplicitAutograd"}) for name, found in keys.items()}
    return {name: own[delegates.get(name, name)] for name in own}


def _lines() -> list[str]:
    path = files("torchgen") / "packaged" / "ATen" / "native" / "native_functions.yaml"
    return path.read_text(encoding="utf-8").splitlines()
