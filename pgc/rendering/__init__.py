# SPDX-License-Identifier: Apache-2.0
"""Rendering of a fixed mesh: rasterisers fill a G-buffer, shading turns material values into an image."""
