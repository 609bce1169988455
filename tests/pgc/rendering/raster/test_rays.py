# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.cameras import Camera
from pgc.cameras.matrices import look_at_matrix, orthographic_matrix, perspective_matrix
from pgc.rendering.raster.rays import pixel_rays

POSE = look_at_matrix((1.0, -1.5, 0.7), (0.1, 0.0, -0.2))


@pytest.mark.parametrize(
    "projection",
    [
        perspective_matrix(0.9, aspect=1.5, shift=(0.2, -0.1), near=0.1, far=10.0),
        orthographic_matrix(2.5, aspect=1.5, shift=(0.2, -0.1), near=0.1, far=10.0),
    ],
)
def test_points_along_a_ray_project_to_its_pixel_at_their_depth(projection):
    camera, (height, width) = Camera(POSE, projection, 1.5), (20, 30)
    rays, reach = pixel_rays([camera], (height, width))
    near, far = float(reach[0, 0]), float(reach[0].sum())
    assert (near, far) == pytest.approx((0.1, 10.0), rel=1e-3)
    for x, y in ((0.5, 0.5), (29.5, 3.0), (11.25, 19.5)):
        origin, direction = (rays[0, 3 * i] + x * rays[0, 3 * i + 1] + y * rays[0, 3 * i + 2] for i in (0, 1))
        points = origin + np.array([[0.0], [1.0], [3.5]]) * direction
        ndc = camera.project(points)
        assert (ndc[:, 0] + 1) / 2 * width == pytest.approx([x] * 3, abs=1e-3)
        assert (1 - ndc[:, 1]) / 2 * height == pytest.approx([y] * 3, abs=1e-3)
        assert ndc[0, 2] == pytest.approx(-1, abs=1e-4)
        depth = -(points @ POSE[:3, :3].T + POSE[:3, 3])[:, 2]
        assert depth == pytest.approx([near, near + 1, near + 3.5], rel=1e-4)
