# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels and menus: they draw and change nothing."""

from . import menus, panel, versions

__all__ = ["CLASSES"]

CLASSES = (*menus.CLASSES, *panel.CLASSES, *versions.CLASSES)
