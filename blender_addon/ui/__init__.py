# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels: they draw and change nothing."""

from .panel import PGC_PT_texture

__all__ = ["CLASSES"]

CLASSES = (PGC_PT_texture,)
