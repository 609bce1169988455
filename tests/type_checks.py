# SPDX-License-Identifier: Apache-2.0
"""Shapes and types are checked at run time in every call of the suite, and not twice where once says the same.

jaxtyping looks at arguments and results whenever a function of `pgc` is called, which takes longer than most of those
functions. What it finds depends on little: of an array on its class, dtype and shape, of a number or a word on its
value, of other objects on their class. So within a test a function is checked once for each kind of arguments, and
once more for each kind of result that it gives for them; what holds others, such as a dictionary, is always looked at.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import types
from collections.abc import Callable, Collection, Hashable
from enum import Enum
from typing import Any

import jaxtyping

__all__ = ["forget", "install"]

_MOST_ITEMS = 8
"""Items of a longer sequence are not told apart: it is checked always."""
_JAXTYPED = jaxtyping.jaxtyped

_Kind = Hashable
"""What the checks depend on; None: more than is worth to note."""
_known: dict[int, tuple[types.CodeType, dict[_Kind, set[_Kind]]]] = {}
"""Kinds of arguments, and of results for each; by the number of a function's code, kept so that no other gets it."""


def install() -> None:
    """Makes the functions of modules that are imported from now on be checked sparingly."""
    jaxtyping.jaxtyped = _sparing


def forget() -> None:
    """Lets everything be checked anew, so that no test depends on those before it."""
    _known.clear()


def _sparing(target: Any = None, *, typechecker: Any = None) -> Any:
    if target is None:
        return functools.partial(_sparing, typechecker=typechecker)
    again = functools.partial(_sparing, typechecker=typechecker)
    if isinstance(target, type):
        start = vars(target).get("__init__")
        # One that the class has written itself is checked already.
        if dataclasses.is_dataclass(target) and start is not None and not hasattr(start, "__wrapped__"):
            target.__init__ = again(start)
        return target
    if isinstance(target, classmethod | staticmethod):
        return type(target)(again(target.__func__))
    if isinstance(target, property):
        return property(*(part and again(part) for part in (target.fget, target.fset, target.fdel)))
    if not isinstance(target, types.FunctionType):
        return _JAXTYPED(target, typechecker=typechecker)
    return _checked_once(target, typechecker)


def _checked_once(function: types.FunctionType, typechecker: Any) -> Callable[..., Any]:
    code = function.__code__
    # Made at the first call: most modules have functions that a process never calls.
    made: list[Callable[..., Any]] = []
    of_result: list[_ResultCheck] = []

    @functools.wraps(function)
    def wrapped(*args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        given = _kinds(args, named)
        _, seen = _known.setdefault(id(code), (code, {}))
        results = seen.get(given)
        if results is not None:
            result = function(*args, **named)
            kind = _kind(result)
            if kind not in results or kind is None:
                if not of_result:
                    of_result.append(_ResultCheck(function, typechecker))
                of_result[0].check(result, args, named)
                results.add(kind)
            return result
        if not made:
            made.append(_JAXTYPED(function, typechecker=typechecker))
        result = made[0](*args, **named)
        kind = _kind(result)
        if given is not None and kind is not None:
            seen[given] = {kind}
        return result

    return wrapped


class _ResultCheck:
    """Checks results that a function gave, without calling it again."""

    def __init__(self, function: types.FunctionType, typechecker: Any) -> None:
        given = threading.local()
        self._given = given

        def echo(*_: Any, **__: Any) -> Any:
            return given.result

        # With the function's signature, and its globals, among which annotations are looked up.
        named = types.FunctionType(echo.__code__, function.__globals__, function.__name__, None, echo.__closure__)
        # Made once: to make it takes a compiler a millisecond, and some functions give a thousand kinds of results.
        self._checked = _JAXTYPED(functools.update_wrapper(named, function), typechecker=typechecker)

    def check(self, result: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Raises what jaxtyping raises where a result is not what the function promises for such arguments."""
        self._given.result = result
        try:
            self._checked(*args, **named)
        finally:
            del self._given.result


def _kinds(args: tuple[Any, ...], named: dict[str, Any]) -> _Kind:
    found = [_kind(value) for value in args]
    for name, value in named.items():
        found += (name, _kind(value))
    return None if None in found else tuple(found)


def _kind(value: Any) -> _Kind:
    cls = type(value)
    how = _how(cls)
    if how == "class":
        return cls
    if how == "array":
        return cls, value.dtype, tuple(value.shape)
    if how == "value":
        return cls, value
    if how == "sequence" and len(value) <= _MOST_ITEMS:
        items = [_kind(item) for item in value]
        return None if None in items else (cls, *items)
    return None


@functools.cache
def _how(cls: type) -> str:
    """Returns what of such a class's objects the checks depend on."""
    if hasattr(cls, "dtype") and hasattr(cls, "shape"):
        return "array"
    # Words of a Literal, and sizes: "{size} 3" is a shape of an argument's value.
    if issubclass(cls, int | str | type | Enum):
        return "value"
    if issubclass(cls, tuple | list):
        return "sequence"
    return "holder" if issubclass(cls, Collection) and not issubclass(cls, bytes) else "class"
