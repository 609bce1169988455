# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses to plain maps and back, strictly, by their type annotations.

Annotations may be: bool, int, float, str, bytes, None, enumerations, Literal, dataclasses, tuple[X, ...], tuple[X, Y],
dict[str, X], and unions of these. Of several dataclasses in a union, the field `kind` tells which is meant.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

from .errors import ErrorCode, FieldError, invalid, join

__all__ = ["LATER", "OWN_PATHS", "from_wire", "to_wire"]

OWN_PATHS = "own_paths"
"""In a field's metadata: paths inside it start there, so that they read the same wherever the value is checked."""
LATER = "later"
"""In the metadata of a field that came with a later minor version: it is sent only where it is not its default, so that
messages without it keep the bytes that they had."""

T = TypeVar("T")
_INT_LIMIT = 1 << 63
_SHOWN = 60


def to_wire(value: object) -> Any:  # noqa: ANN401 - what msgpack can pack
    """Plain maps, lists, numbers, texts, bytes and None for a dataclass."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_wire(item)
            for field in dataclasses.fields(value)
            if (item := getattr(value, field.name)) != field.default or not field.metadata.get(LATER)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_wire(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in cast("Mapping[str, object]", value).items()}
    return value


def from_wire(cls: type[T], data: object, path: str = "") -> T:
    """The dataclass of type `cls` in `data`.

    Unknown keys are ignored, unless the class says `STRICT = True`.

    Raises:
        ProtocolError: INPUT.INVALID or INPUT.UNKNOWN_FIELD, with the path of the field.
    """
    return cast(T, _dataclass(cast(Any, cls), data, path))


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | type(None)) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _dataclass(cls: type[Any], data: object, path: str) -> object:
    if not isinstance(data, Mapping):
        raise invalid(path, f"Got {_shown(data)}; expected a map.")
    given = cast("Mapping[object, object]", data)
    hints = _hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    if getattr(cls, "STRICT", False):
        names = {field.name for field in fields}
        for key in given:
            if key not in names:
                known = ", ".join(sorted(names))
                raise invalid(
                    join(path, str(key)[:_SHOWN]),
                    f"This version does not know the field; it knows: {known}.",
                    ErrorCode.INPUT_UNKNOWN_FIELD,
                )
    values: dict[str, object] = {}
    for field in fields:
        inner = path if field.metadata.get(OWN_PATHS) else join(path, field.name)
        if field.name in given:
            values[field.name] = _value(hints[field.name], given[field.name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise invalid(inner, "The field is missing.")
    try:
        return cls(**values)
    except FieldError as error:
        raise invalid(join(path, error.field), error.text) from error


def _value(hint: Any, data: object, path: str) -> object:  # noqa: ANN401 - a type annotation
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint), data, path)
    if origin is Literal:
        return _literal(typing.get_args(hint), data, path)
    if origin is tuple:
        return _tuple(typing.get_args(hint), data, path)
    if origin in (dict, Mapping):
        return _dict(typing.get_args(hint)[1], data, path)
    if dataclasses.is_dataclass(hint):
        return _dataclass(cast("type[Any]", hint), data, path)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum(hint, data, path)
    return _SCALARS[hint](data, path)


def _union(options: tuple[Any, ...], data: object, path: str) -> object:
    if data is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return _value(options[0], data, path)
    classes = {_kind(option): option for option in options}
    kind = cast("Mapping[str, object]", data).get("kind") if isinstance(data, Mapping) else None
    plain = cast("object", data)
    if not isinstance(kind, str) or kind not in classes:
        kinds = ", ".join(repr(name) for name in classes)
        raise invalid(join(path, "kind"), f"Got {_shown(kind)}; expected one of {kinds}.")
    return _dataclass(classes[kind], plain, path)


def _kind(cls: type[Any]) -> str:
    return str(typing.get_args(_hints(cls)["kind"])[0])


def _literal(options: tuple[Any, ...], data: object, path: str) -> object:
    for option in options:
        if type(option) is type(data) and option == data:
            return option
    expected = ", ".join(repr(option) for option in options)
    raise invalid(path, f"Got {_shown(data)}; expected one of {expected}.")


def _tuple(items: tuple[Any, ...], data: object, path: str) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise invalid(path, f"Got {_shown(data)}; expected a list.")
    entries = cast("Sequence[object]", data)
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_value(items[0], entry, f"{path}[{index}]") for index, entry in enumerate(entries))
    if len(entries) != len(items):
        raise invalid(path, f"Got {len(entries)} entries; expected {len(items)}.")
    return tuple(
        _value(item, entry, f"{path}[{index}]") for index, (item, entry) in enumerate(zip(items, entries, strict=True))
    )


def _dict(item: Any, data: object, path: str) -> dict[str, object]:  # noqa: ANN401 - a type annotation
    if not isinstance(data, Mapping):
        raise invalid(path, f"Got {_shown(data)}; expected a map.")
    result: dict[str, object] = {}
    for key, entry in cast("Mapping[object, object]", data).items():
        if not isinstance(key, str):
            raise invalid(path, f"Got the key {_shown(key)}; expected a text.")
        result[key] = _value(item, entry, join(path, key[:_SHOWN]))
    return result


def _enum(cls: type[enum.Enum], data: object, path: str) -> enum.Enum:
    for member in cls:
        if type(data) is type(member.value) and member.value == data:
            return member
    expected = ", ".join(repr(member.value) for member in cls)
    raise invalid(path, f"Got {_shown(data)}; expected one of {expected}.")


def _integer(data: object, path: str) -> int:
    if isinstance(data, bool) or not isinstance(data, int):
        raise invalid(path, f"Got {_shown(data)}; expected a whole number.")
    if not -_INT_LIMIT <= data < _INT_LIMIT:
        raise invalid(path, "Got a whole number of more than 64 bits; expected one of at most 64.")
    return data


def _number(data: object, path: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise invalid(path, f"Got {_shown(data)}; expected a number.")
    try:
        number = float(data)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise invalid(path, "Got a number that is not finite, or too large; expected a finite number.")
    return number


def _exactly(cls: type[Any], name: str) -> Callable[[object, str], object]:
    def check(data: object, path: str) -> object:
        if type(data) is not cls:
            raise invalid(path, f"Got {_shown(data)}; expected {name}.")
        return data

    return check


_SCALARS: dict[Any, Callable[[object, str], object]] = {
    int: _integer,
    float: _number,
    bool: _exactly(bool, "true or false"),
    str: _exactly(str, "a text"),
    bytes: _exactly(bytes, "bytes"),
    type(None): _exactly(type(None), "nothing"),
}
