# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence about what went wrong, and the one button that mends it."""

from __future__ import annotations

import bpy

from ..model.state import Problem
from .text import draw_text

__all__ = ["draw_problem"]


def draw_problem(
    layout: bpy.types.UILayout, problem: Problem, context: bpy.types.Context, *, dismiss: str | None = None
) -> None:
    """Draws the box with a message and the button that mends it.

    Args:
        dismiss: key of the job that the message is about, "" for none; None: the message stays until it is mended.
    """
    box = layout.box()
    row = box.row()
    text = row.column()
    text.alert = True
    draw_text(text, problem.text, context, icon="ERROR", beside=int(dismiss is not None))
    if dismiss is not None:
        row.operator("pgc.dismiss", text="", icon="X", emboss=False).key = dismiss
    if problem.operator:
        button = box.row()
        button.scale_y = 1.2
        if problem.label:
            operator = button.operator(problem.operator, text=problem.label)
        else:
            operator = button.operator(problem.operator)
        for name, value in problem.options.items():
            setattr(operator, name, value)
