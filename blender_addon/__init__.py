# SPDX-License-Identifier: Apache-2.0
"""Blender extension that textures a mesh from a prompt. Importing this package needs no Blender."""
