# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's meshes to arrays, and what is asked of them."""
