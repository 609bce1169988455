# SPDX-License-Identifier: Apache-2.0
"""What some tests need that not every Python has."""

import importlib.util

import pytest

__all__ = ["XATLAS"]

XATLAS = pytest.mark.skipif(
    importlib.util.find_spec("xatlas") is None, reason="xatlas has no wheel for this Python: nothing is unwrapped"
)
