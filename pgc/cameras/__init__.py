# SPDX-License-Identifier: Apache-2.0
"""Cameras: one view (`Camera`), fixed rigs of them (`rigs`), random ones (`sampling`), and what a view is called."""

from pgc.cameras.camera import Camera
from pgc.cameras.matrices import direction_from_angles

__all__ = ["Camera", "direction_from_angles"]
