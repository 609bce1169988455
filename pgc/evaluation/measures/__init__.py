# SPDX-License-Identifier: Apache-2.0
"""Measures of a picture or a texture against the truth, and their statistics."""
