# SPDX-License-Identifier: Apache-2.0
"""Values of a glTF's JSON by name and type. What is of another type is one sentence that names its place."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgc.errors import MeshError

__all__ = ["Fields"]

_EXPORT_AGAIN = "the file is damaged, or its exporter has a fault: export it again"


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """An object of the JSON, with its place ("nodes[3]") for messages. Every getter raises `MeshError`."""

    source: str
    """Name of the file."""
    place: str
    values: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def integer(self, key: str, default: int | None = None, *, low: int = 0) -> int:
        """Returns a whole number of at least `low`; without `default` it must be there."""
        found = self.optional_integer(key, low=low)
        if found is not None:
            return found
        if default is None:
            raise self._wrong(key, "nothing", "a number")
        return default

    def optional_integer(self, key: str, *, low: int = 0) -> int | None:
        """Returns a whole number of at least `low`, or None. `5.0` counts as 5, as some exporters write it."""
        value = self.values.get(key)
        if value is None:
            return None
        return self._as_integer(key, value, low)

    def integers(self, key: str, *, low: int = 0) -> list[int]:
        """Returns a list of whole numbers, empty where there is none."""
        return [self._as_integer(f"{key}[{i}]", value, low) for i, value in enumerate(self._list(key))]

    def _as_integer(self, key: str, value: Any, low: int) -> int:  # noqa: ANN401 (any JSON)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not low <= int(value) < 2**53:
            raise self._wrong(key, value, f"a whole number of at least {low}")
        return int(value)

    def number(self, key: str, default: float) -> float:
        """Returns a finite number."""
        value = self.values.get(key, default)
        if not _is_finite(value):
            raise self._wrong(key, value, "a finite number")
        return float(value)

    def numbers(self, key: str, count: int | None = None) -> tuple[float, ...] | None:
        """Returns finite numbers, `count` of them where it is given; None where there are none."""
        if self.values.get(key) is None:
            return None
        found = self._list(key)
        for value in found:
            if not _is_finite(value):
                raise self._wrong(key, value, "finite numbers")
        if count is not None and len(found) != count:
            raise self._wrong(key, f"{len(found)} numbers", str(count))
        return tuple(float(value) for value in found)

    def text(self, key: str, default: str = "") -> str:
        """Returns a text; what is no text counts as `default`, since names carry no meaning."""
        value = self.values.get(key)
        return value if isinstance(value, str) else default

    def flag(self, key: str, default: bool) -> bool:
        """Returns true or false; numbers count as in C, anything else as `default`."""
        value = self.values.get(key, default)
        return bool(value) if isinstance(value, bool | int) else default

    def child(self, key: str) -> "Fields":
        """Returns an object, empty where there is none."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return Fields(self.source, f"{self.place}.{key}" if self.place else key, value)

    def optional_child(self, key: str) -> "Fields | None":
        """Returns an object, None where there is none."""
        return None if self.values.get(key) is None else self.child(key)

    def extension(self, name: str) -> "Fields | None":
        """Returns the object of an extension, None where it is not used here."""
        return self.child("extensions").optional_child(name)

    def count(self, key: str) -> int:
        """Returns the length of a list, 0 where there is none."""
        return len(self._list(key))

    def item(self, key: str, index: int) -> "Fields":
        """Returns object number `index` of a list. Raises `MeshError` where there is none of that number."""
        found = self._list(key)
        if not 0 <= index < len(found):
            raise MeshError(
                f"{self.source}: the glTF points to {key}[{index}], but there are {len(found)} (counted from 0); "
                f"{_EXPORT_AGAIN}."
            )
        value = found[index]
        if not isinstance(value, dict):
            raise self._wrong(f"{key}[{index}]", value, "an object")
        return Fields(self.source, f"{self.place}.{key}[{index}]" if self.place else f"{key}[{index}]", value)

    def items(self, key: str) -> list["Fields"]:
        """Returns all objects of a list."""
        return [self.item(key, index) for index in range(self.count(key))]

    def texts(self, key: str) -> list[str]:
        """Returns all texts of a list."""
        found = self._list(key)
        for value in found:
            if not isinstance(value, str):
                raise self._wrong(key, value, "texts")
        return list(found)

    def _list(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def _wrong(self, key: str, got: object, expected: str) -> MeshError:
        text = got if isinstance(got, str) else json.dumps(got)
        if len(text) > 40:
            text = text[:37] + "..."
        place = f"{self.place}.{key}" if self.place else key
        return MeshError(f"{self.source}: in the glTF, {place} is {text!r}, expected {expected}; {_EXPORT_AGAIN}.")


def _is_finite(value: object) -> bool:
    """Whether a value is a number that float64 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
