# SPDX-License-Identifier: Apache-2.0
"""The seam ratio on a strip of two charts, where the truth is known."""

import numpy as np
import pytest
import torch

from pgc.evaluation.measures.seams import MipSeams, seam_ratios
from pgc.mesh.data import TriangleMesh
from pgc.texture.field import BakedTexture
from pgc.texture.texel_surface import texel_surface

SIZE = 128


@pytest.fixture(scope="module")
def strip() -> TriangleMesh:
    """Two unit squares side by side in 3D; apart, and the right one turned, in UV."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]], dtype=np.int32)
    left, right = positions[faces[:2]][..., :2], positions[faces[2:]][..., :2] - [1, 0]
    turned = np.stack([1.0 - right[..., 1], right[..., 0]], axis=-1)
    return TriangleMesh(
        positions=positions,
        faces=faces,
        corner_uvs=np.concatenate([0.05 + 0.4 * left, [0.55, 0.5] + 0.4 * turned]).astype(np.float32),
        corner_normals=np.tile(np.array([0, 0, 1], dtype=np.float32), (4, 3, 1)),
        polygon_index=np.arange(4, dtype=np.int32),
        corner_index=np.arange(12, dtype=np.int32).reshape(4, 3),
        material_index=np.zeros(4, dtype=np.int32),
    )


def _ramp(strip: TriangleMesh, step: float) -> BakedTexture:
    """Grey that grows along (x, y), continued over the gutter, with a step at the seam."""
    surface = texel_surface(strip, SIZE, reach=1.0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    u, v = (columns + 0.5) / SIZE, 1.0 - (rows + 0.5) / SIZE
    x = np.where(u < 0.5, (u - 0.05) / 0.4, 1.0 + (v - 0.5) / 0.4)
    y = np.where(u < 0.5, (v - 0.05) / 0.4, 1.0 - (u - 0.55) / 0.4)
    assert np.abs(x - surface.position[..., 0])[surface.inside].max() < 1e-5
    gray = 0.1 + 0.25 * x + 0.25 * y + step * (u > 0.5)
    return BakedTexture(maps={"base_color": [torch.from_numpy(gray.astype(np.float32))[None].repeat(3, 1, 1)]})


def test_jumps_of_a_continuous_ramp_are_its_slope_times_the_distance(strip: TriangleMesh) -> None:
    # The edges inside are diagonals: a step across one runs along (x, -y), where this ramp does not change.
    ratios = seam_ratios(strip, _ramp(strip, 0.0))
    expected = 0.25 * 2 * ratios[0].offset * np.sqrt(3)
    assert ratios[0].seam_jump == pytest.approx(expected, rel=0.1)
    assert ratios[0].interior_jump < 0.3 * expected


def test_a_step_shows_in_the_seam_jump_and_not_inside(strip: TriangleMesh) -> None:
    plain, stepped = seam_ratios(strip, _ramp(strip, 0.0)), seam_ratios(strip, _ramp(strip, 0.2))
    for a, b in zip(plain, stepped, strict=True):
        assert b.seam_jump == pytest.approx(a.seam_jump + 0.2 * np.sqrt(3), rel=0.03)
        assert b.interior_jump == pytest.approx(a.interior_jump, abs=0.003)


def test_the_offset_is_half_a_texel_of_each_mip(strip: TriangleMesh) -> None:
    ratios = seam_ratios(strip, _ramp(strip, 0.0), mips=3)
    assert [entry.mip for entry in ratios] == [0, 1, 2]
    np.testing.assert_allclose([entry.offset for entry in ratios], 0.5 / (0.4 * SIZE) * np.array([1, 2, 4]), rtol=1e-5)


def test_bilinear_border_bleeding_counts_as_a_seam(strip: TriangleMesh) -> None:
    texture = _ramp(strip, 0.0).maps["base_color"][0]
    outside = torch.from_numpy(texel_surface(strip, SIZE).face_index < 0)
    bled = BakedTexture(maps={"base_color": [torch.where(outside, torch.tensor(0.0), texture)]})
    assert seam_ratios(strip, bled)[2].seam_jump > 1.2 * seam_ratios(strip, _ramp(strip, 0.0))[2].seam_jump


def test_nothing_to_compare_is_ratio_one_and_a_lone_jump_is_infinite() -> None:
    def entry(seam: float, inside: float, samples: int) -> float:
        return MipSeams(
            mip=0, offset=0.1, seam_jump=seam, interior_jump=inside, seam_samples=samples, interior_samples=5
        ).ratio

    assert entry(0.0, 0.3, 0) == 1.0
    assert entry(0.0, 0.0, 5) == 1.0
    assert entry(0.1, 0.0, 5) == float("inf")
    assert entry(0.3, 0.2, 5) == pytest.approx(1.5)
