# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions that nobody foresaw: the console gets all of it, the panel one sentence, once, and all else goes on.

Blender ends a timer that raises, prints what a handler raises where no artist looks, and leaves a panel half drawn.
What calls us back is therefore guarded, part by part. Without bpy.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from .problems import defect_problem
from .state import AppState, Problem

__all__ = ["GUARDED", "defect", "guarded", "guarded_class", "note_defect"]

GUARDED = "__pgc_guarded__"
"""Attribute of a function that is guarded."""
_BLENDERS_OWN = ("bpy_types", "_bpy_types", "builtins")
"""Modules of the classes that ours derive from."""
_log = logging.getLogger(__name__)


def note_defect(state: AppState, doing: str, error: Exception) -> Problem:
    """Tells the artist of an exception: the first of its kind goes to the console and into the panel, any other is only
    returned.

    Args:
        doing: what was going on, such as "Showing a preview".
    """
    report = "".join(traceback.format_exception(error))
    problem = defect_problem(doing, f"{type(error).__name__}: {error}", report)
    kind = f"{doing}: {_place(error)}"
    if kind not in state.defects:
        state.defects.add(kind)
        _log.error("%s failed.\n%s", doing, report)
        state.show_problem(problem)
    return problem


@contextmanager
def defect(state: AppState, doing: str) -> Generator[None, None, None]:
    """Runs what is inside, which may fail, and goes on with what comes after it all the same."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told of, and must not stop the rest
        note_defect(state, doing, error)


def guarded(function: Callable[..., Any], tell: Callable[[Exception], None], result: Any = None) -> Callable[..., Any]:  # noqa: ANN401
    """Returns a function of any arguments that never raises: `tell` gets the exception, the caller gets `result`."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:  # noqa: ANN401 - as the function
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told of, and must not stop Blender's caller
            tell(error)
            return result

    setattr(call, GUARDED, True)
    return call


def guarded_class(cls: type, tell: Callable[[Exception, Any, str], Any]) -> type:
    """Changes an operator, panel, menu or list once, so that its callbacks never raise, and returns the class.

    Args:
        tell: is given the exception, the instance (for `poll`: the class), and the callback's name; what it returns is
            what Blender gets.
    """
    for name, shape in _SHAPES.items():
        owners = (base for base in cls.__mro__ if base.__module__ not in _BLENDERS_OWN and name in vars(base))
        owner = next(owners, None)
        if owner is None:
            continue
        given = vars(owner)[name]
        function: Callable[..., Any] = getattr(given, "__func__", given)
        if hasattr(function, GUARDED):
            continue
        method = shape(_caught(function, tell, name))
        setattr(method, GUARDED, True)
        setattr(cls, name, classmethod(method) if isinstance(given, classmethod) else method)
    return cls


def _caught(function: Callable[..., Any], tell: Callable[[Exception, Any, str], Any], name: str) -> Callable[..., Any]:
    def call(owner: Any, *arguments: Any) -> Any:  # noqa: ANN401 - as the function
        try:
            return function(owner, *arguments)
        except Exception as error:  # noqa: BLE001 - as in `guarded`
            return tell(error, owner, name)

    return call


def _of_context(call: Callable[..., Any]) -> Callable[..., Any]:
    """Blender counts the arguments of what it calls back: each shape is spelt out."""

    def method(self: Any, context: Any) -> Any:  # noqa: ANN401
        return call(self, context)

    return method


def _of_event(call: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, context: Any, event: Any) -> Any:  # noqa: ANN401
        return call(self, context, event)

    return method


def _of_item(call: Callable[..., Any]) -> Callable[..., Any]:
    def method(  # noqa: PLR0913 - Blender's
        self: Any,  # noqa: ANN401
        context: Any,  # noqa: ANN401
        layout: Any,  # noqa: ANN401
        data: Any,  # noqa: ANN401
        item: Any,  # noqa: ANN401
        icon: Any,  # noqa: ANN401
        active_data: Any,  # noqa: ANN401
        active_property: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return call(self, context, layout, data, item, icon, active_data, active_property)

    return method


def _of_list(call: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, context: Any, data: Any, property_name: Any) -> Any:  # noqa: ANN401
        return call(self, context, data, property_name)

    return method


_SHAPES: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    **dict.fromkeys(("poll", "execute", "draw", "draw_header", "draw_header_preset"), _of_context),
    **dict.fromkeys(("invoke", "modal"), _of_event),
    "draw_item": _of_item,
    "filter_items": _of_list,
}


def _place(error: Exception) -> str:
    """Kind and line of an exception: the same defect is the same place."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f"{type(error).__name__} {last.filename}:{last.lineno}" if last else type(error).__name__
