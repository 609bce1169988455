# SPDX-License-Identifier: Apache-2.0
"""Camera rays of a picture as affine functions of the pixel, in double precision.

For both kinds of projection that `Camera` admits, ray origin (on the near plane) and ray direction (with a camera
depth of exactly one) are affine in the pixel coordinates. So six vectors describe all rays of a picture, and the
derivative of a ray by the pixel, which the uv footprint needs, is one of them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from pgc.cameras import Camera

__all__ = ["pixel_rays"]

_CLIP_FAR = 1e30
"""Stands for an infinite far plane: the largest ray length that float32 arithmetic bears."""


def pixel_rays(
    cameras: Sequence[Camera], resolution: tuple[int, int]
) -> tuple[Float32[np.ndarray, "B 6 3"], Float32[np.ndarray, "B 2"]]:
    """Makes the rays of all pixels of B cameras.

    Args:
        cameras: B cameras.
        resolution: (H, W) of the picture.

    Returns:
        rays: (o, o_x, o_y, d, d_x, d_y) in world axes: the ray through picture coordinates (x, y), with x to the
            right in [0, W], y down in [0, H] and pixel centres at halves, starts at o + x o_x + y o_y on the near
            plane and goes along d + x d_x + y d_y, whose component along the camera's -Z is 1.
        reach: (near, far - near): the camera depth of a hit after t directions is near + t, and t <= far - near.
    """
    packed = [_rays_of(camera, resolution) for camera in cameras]
    return (
        np.stack([rays for rays, _ in packed]).astype(np.float32),
        np.array([reach for _, reach in packed], dtype=np.float32),
    )


def _rays_of(camera: Camera, resolution: tuple[int, int]) -> tuple[np.ndarray, tuple[float, float]]:
    height, width = resolution
    near, far = camera.clip_range
    # NDC of picture coordinates (0, 0), (1, 0), (0, 1), on the near plane.
    ndc = np.array([[-1, 1, -1], [-1 + 2 / width, 1, -1], [-1, 1 - 2 / height, -1]], dtype=np.float64)
    origins = camera.unproject(ndc)
    if camera.is_orthographic:
        # Parallel rays; oblique ones too, since far minus near is the direction.
        towards = (camera.unproject(ndc * [1, 1, -1]) - origins) / (far - near)
    else:
        pose = camera.world_to_camera.astype(np.float64)
        towards = (origins + pose[:3, :3].T @ pose[:3, 3]) / near
    rays = np.concatenate([_affine(origins), _affine(towards)])
    return rays, (near, min(far, _CLIP_FAR) - near)


def _affine(corners: np.ndarray) -> np.ndarray:
    """Values at (0, 0), (1, 0), (0, 1) to constant, slope by x, slope by y."""
    return np.stack([corners[0], corners[1] - corners[0], corners[2] - corners[0]])
