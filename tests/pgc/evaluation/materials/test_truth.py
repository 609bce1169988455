# SPDX-License-Identifier: Apache-2.0
"""Known materials: always the same, on charts exactly what the formulas say, slots where an artist would have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pgc.evaluation.ground_truth import chart_mask
from pgc.evaluation.materials.truth import SUITE_MATERIALS, SUITE_MESHES, bake_truth, face_frames, suite_mesh
from pgc.mesh import TriangleMesh

SIZE = 64


@pytest.fixture(scope="module")
def star() -> TriangleMesh:
    return suite_mesh(2)[1]


@pytest.mark.slow
def test_the_suite_is_as_large_as_it_says() -> None:
    assert SUITE_MESHES >= 24
    assert len(SUITE_MATERIALS) >= 8
    names = [suite_mesh(index)[0] for index in (0, 4, SUITE_MESHES - 1)]
    assert len(set(names)) == 3
    assert names[0] == "teapot"


@pytest.mark.slow
def test_slots_are_two_halves_in_patches(star: TriangleMesh) -> None:
    assert set(star.material_index.tolist()) == {0, 1}
    assert 0.4 < float(star.material_index.mean()) < 0.6
    middle = star.positions[star.faces].mean(axis=1)
    near = np.linalg.norm(middle[None] - middle[:200, None], axis=-1).argsort(axis=1)[:, 1]
    assert (star.material_index[near] == star.material_index[:200]).mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUITE_MATERIALS)
def test_every_material_is_plausible_and_repeatable(star: TriangleMesh, kind) -> None:
    truth, again, other = (bake_truth(star, kind, SIZE, seed) for seed in (1, 1, 2))
    mask = chart_mask(star, SIZE)
    for name, images in truth.maps.items():
        image = images[0]
        assert torch.equal(image, again.maps[name][0])
        assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0, name
        assert bool(torch.isfinite(image).all())
    normal = truth.maps["normal"][0] * 2.0 - 1.0
    torch.testing.assert_close(normal.norm(dim=0)[mask], torch.ones(int(mask.sum())), atol=1e-5, rtol=0)
    assert float(normal[2][mask].min()) > 0.5
    assert float(truth.maps["roughness"][0][:, mask].min()) >= 0.1
    assert not torch.equal(truth.maps["base_color"][0], other.maps["base_color"][0])


def test_metal_follows_the_slots_where_it_should(star: TriangleMesh) -> None:
    from pgc.texture.texel_surface import texel_surface

    surface = texel_surface(star, SIZE)
    slot = torch.from_numpy(star.material_index[surface.face_index.clip(0)]).float()
    mask = torch.from_numpy(surface.inside)
    for kind in ("gilded_ceramic", "copper_and_wood"):
        assert torch.equal(bake_truth(star, kind, SIZE, 1).maps["metallic"][0][0][mask], slot[mask])
    rust = bake_truth(star, "rusty_iron", SIZE, 1).maps["metallic"][0][0]
    assert float((rust[mask] - slot[mask]).abs().mean()) > 0.2


def test_the_relief_is_the_slope_of_its_height(star: TriangleMesh) -> None:
    """Against a height whose slope is known: the normals of a mesh that was moved along it turn the same way."""
    frames = face_frames(star)
    corners, uvs = star.positions[star.faces].astype(np.float64), star.corner_uvs.astype(np.float64)
    step = np.einsum("fdk,fk->fd", frames, uvs[:, 1] - uvs[:, 0])
    solid = np.abs(frames).sum(axis=(1, 2)) > 0.0
    np.testing.assert_allclose(step[solid], (corners[:, 1] - corners[:, 0])[solid], atol=1e-6)
    # A mirrored layout turns the u slope over and leaves the v slope.
    mirrored = replace(star, corner_uvs=np.ascontiguousarray(star.corner_uvs * [-1, 1] + [1, 0]).astype(np.float32))
    plain, other = (bake_truth(mesh, "stone", SIZE, 1).maps["normal"][0] for mesh in (star, mirrored))
    mask = chart_mask(star, SIZE) & chart_mask(mirrored, SIZE).flip(1)
    torch.testing.assert_close(1.0 - other.flip(2)[0][mask], plain[0][mask], atol=0.02, rtol=0)
    torch.testing.assert_close(other.flip(2)[1][mask], plain[1][mask], atol=0.02, rtol=0)
