# SPDX-License-Identifier: Apache-2.0
"""Rasterisers: rays through the pixels of a camera fill a G-buffer."""
