# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of an object's texture: made, shown, stored, moved to other UVs."""
