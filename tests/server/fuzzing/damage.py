# SPDX-License-Identifier: Apache-2.0
"""What disks, crashes, clumsy hands and strangers do to bytes and to JSON."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

__all__ = ["STRANGE_TEXTS", "changed", "damaged_bytes", "damaged_json", "strange_json"]

_SECTOR = 512
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 0.0, -0.0, 0.5, -1e300,
    1e308, 5e-324, float("nan"), float("inf"), float("-inf"), "", "a", "\0", "ä" * 50, "x" * 5000, "../../etc/passwd",
    "/", ".", "..", "\ud800", "1", "nan", "a" * 32, "a" * 40, "f" * 64, [], {}, [[]], [0] * 300, {"a": {"b": [1]}},
    [[0.0, 0.0]], [[1e18, -1e18]], [1, 0], [2, 0], [True, False], {"format": 1}, {"format": 99},
)  # fmt: skip
STRANGE_TEXTS = (
    b"", b"\0", b"{", b"}", b"[]", b"null", b"true", b"0", b'""', b"{}", b"NaN", b"Infinity", b"-Infinity", b"1e999",
    b'{"a":', b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"\x80\x04N.", b"PK\x03\x04", b"[" * 100_000, b'{"a":' * 50_000,
    b"[" * 500, b"9" * 10_000, b'"' + b"\\u0000" * 2000 + b'"', b"{}{}", b"\n" * 3000, bytes(4096), b"\xff" * 4096,
)  # fmt: skip
"""Whole files that are no settings of anybody."""


def damaged_bytes(rng: Random, data: bytes) -> bytes:
    """One damage, or a few."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = _one_damage(rng, data)
    return data


def _one_damage(rng: Random, data: bytes) -> bytes:
    size = len(data)
    at = rng.randrange(size + 1)
    length = min(rng.choice((1, 2, 8, 64, _SECTOR, 4096)), size)
    match rng.randrange(11):
        case 0 | 1 | 2 if data:
            at = min(at, size - 1)
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 3 if data:
            return data[:at] + rng.randbytes(min(length, size - at)) + data[at + length :]
        case 4:
            return data[:at]
        case 5:
            # A file system that lost a block gives zeros.
            at -= at % _SECTOR
            return data[:at] + bytes(min(length, size - at)) + data[at + length :]
        case 6:
            return data[:at] + data[at + length :]
        case 7:
            return data[:at] + rng.randbytes(rng.choice((1, 3, 100))) + data[at:]
        case 8:
            return data + (data[:length] if rng.random() < 0.5 else rng.randbytes(length + 1))
        case 9:
            # A block that was written to another's place.
            other = rng.randrange(size + 1)
            return data[:at] + data[other : other + length] + data[at + length :]
        case _:
            return rng.choice(STRANGE_TEXTS)


def strange_json(rng: Random) -> Any:
    """A value that is seldom what is meant."""
    return copy.deepcopy(rng.choice(_VALUES))


def changed(rng: Random, value: Any, changes: int = 1) -> Any:
    """A copy whose values, keys or levels are others in some places."""
    value = copy.deepcopy(value)
    for _ in range(changes):
        value = _one_change(rng, value)
    return value


def damaged_json(rng: Random, value: Any, changes: int = 1) -> bytes:
    """A JSON text whose values, keys or levels were changed in some places."""
    value = changed(rng, value, changes)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.8)
    if rng.random() < 0.05:
        text = text.replace(":", ": " * rng.randrange(1, 20))
    return text.encode("utf-8", "surrogatepass")


def _one_change(rng: Random, root: Any) -> Any:
    if not isinstance(root, dict | list):
        return strange_json(rng)
    place: Any = root
    for _ in range(rng.randrange(4)):
        inner = [item for item in _items(place) if isinstance(item, dict | list)]
        if not inner:
            break
        place = rng.choice(inner)
    if place is root and rng.random() < 0.05:
        return strange_json(rng)
    keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
    action = rng.random()
    if not keys or action < 0.1:
        if isinstance(place, dict):
            place[rng.choice(("later", "name", "", "public", "format"))] = strange_json(rng)
        else:
            place.append(strange_json(rng))
    elif action < 0.2:
        del place[rng.choice(keys)]
    elif action < 0.3:
        key = rng.choice(keys)
        place[key] = [place[key]] if rng.random() < 0.5 else {"a": place[key]}
    elif action < 0.45:
        key = rng.choice(keys)
        place[key] = _near(rng, place[key])
    else:
        place[rng.choice(keys)] = strange_json(rng)
    return root


def _items(place: Any) -> list[Any]:
    return list(place.values() if isinstance(place, dict) else place)


def _near(rng: Random, value: Any) -> Any:
    """Almost what it was."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return rng.choice((-value, value + 1, value * 1000, value / 1000, value * 10**9, str(value)))
    if isinstance(value, str) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(("", "x", "\0", "/", " ", value[at] * 3, "é")) + value[at + 1 :]
    return strange_json(rng)
