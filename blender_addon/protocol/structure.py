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
from functools import partial
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
_PLAIN = frozenset[type[object]]({int, float, bool, str, bytes, type(None)})


def to_wire(value: object) -> Any:  # noqa: ANN401 - what msgpack can pack
    """Returns plain maps, lists, numbers, texts, bytes and None for a dataclass."""
    if type(value) in _PLAIN:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            name: to_wire(getattr(value, name))
            for name, default, is_later in _written(type(value))
            if not is_later or getattr(value, name) != default
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_wire(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in cast("Mapping[str, object]", value).items()}
    return value


def from_wire(cls: type[T], data: object, path: str = "") -> T:
    """Returns the dataclass of type `cls` in `data`.

    Unknown keys are ignored, unless the class says `STRICT = True`.

    Raises:
        ProtocolError: INPUT.INVALID or INPUT.UNKNOWN_FIELD, with the path of the field.
    """
    return cast(T, _dataclass(cast(Any, cls), data, path))


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | type(None)) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


@functools.cache
def _written(cls: type[Any]) -> tuple[tuple[str, object, bool], ...]:
    """Name and default of each field, and whether it came later: found once, since a list has hundreds of jobs."""
    return tuple((field.name, _default(field), bool(field.metadata.get(LATER))) for field in dataclasses.fields(cls))


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """What is known of a field before any value of it comes."""

    name: str
    read: Callable[[object, str], object]
    has_own_paths: bool
    is_required: bool


@functools.cache
def _fields(cls: type[Any]) -> dict[str, _Field]:
    hints = _hints(cls)
    return {
        field.name: _Field(
            field.name,
            _reader(hints[field.name]),
            bool(field.metadata.get(OWN_PATHS)),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
        if field.init
    }


def _dataclass(cls: type[Any], data: object, path: str) -> object:
    if not isinstance(data, Mapping):
        raise invalid(path, f"Got {_shown(data)}; expected a map.")
    given = cast("Mapping[object, object]", data)
    fields = _fields(cls)
    if getattr(cls, "STRICT", False):
        for key in given:
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise invalid(
                    join(path, str(key)[:_SHOWN]),
                    f"This version does not know the field; it knows: {known}.",
                    ErrorCode.INPUT_UNKNOWN_FIELD,
                )
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name in given:
            values[name] = field.read(given[name], path if field.has_own_paths else join(path, name))
        elif field.is_required:
            raise invalid(path if field.has_own_paths else join(path, name), "The field is missing.")
    try:
        return cls(**values)
    except FieldError as error:
        raise invalid(join(path, error.field), error.text) from error


def _value(hint: Any, data: object, path: str) -> object:  # noqa: ANN401 - a type annotation
    return _reader(hint)(data, path)


@functools.cache
def _reader(hint: Any) -> Callable[[object, str], object]:  # noqa: ANN401 - a type annotation
    """What reads values of an annotation: found once, since a job has thousands of values."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return partial(_union, typing.get_args(hint))
    if origin is Literal:
        return partial(_literal, typing.get_args(hint))
    if origin is tuple:
        return partial(_tuple, typing.get_args(hint))
    if origin in (dict, Mapping):
        return partial(_dict, typing.get_args(hint)[1])
    if dataclasses.is_dataclass(hint):
        return partial(_dataclass, cast("type[Any]", hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return partial(_enum, hint)
    return _SCALARS[hint]


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
