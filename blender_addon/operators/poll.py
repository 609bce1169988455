# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an operator can run now, and what its button says where it cannot."""

from __future__ import annotations

import bpy

__all__ = ["passes_unless"]


def passes_unless(operator: type[bpy.types.Operator], obstacle: object, reason: str) -> bool:
    """Returns, for a poll, whether nothing is in the way; else the reason becomes the button's tooltip."""
    if obstacle:
        operator.poll_message_set(reason)
    return not obstacle
