# SPDX-License-Identifier: Apache-2.0
"""Finished maps to files: images of any kept depth, packings of engines, OBJ, .blend, and transfer to other UVs."""
