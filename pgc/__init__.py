# SPDX-License-Identifier: Apache-2.0
"""pgc: textures for existing meshes by score distillation with pixel-wise gradient clipping."""

__version__ = "0.1.0"
