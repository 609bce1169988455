# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's scene to numpy and back: meshes, cameras, images, materials. The only package here that reads bpy data."""
