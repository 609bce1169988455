# SPDX-License-Identifier: Apache-2.0
"""Every prior by hand, switched on alone, and what descent along it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.texture.material_field import MaterialField, MaterialFieldConfig
from pgc.texture.penalties import (
    MaterialPenalties,
    MaterialPriorConfig,
    TexelPenalty,
    extremes_penalty,
    harmonics,
    light_penalty,
    smoothness_penalty,
)
from pgc.texture.texel_config import TexelPyramidConfig

SIZE = 16
MakeQuad = Callable[..., TriangleMesh]


def _image(value: float) -> Tensor:
    return torch.full((1, 1, 4, 4), value)


def test_extremes_by_hand() -> None:
    inside = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    for value in (0.0, 0.25, 0.5, 1.0):
        assert float(extremes_penalty(_image(value), inside)) == pytest.approx(value * (1.0 - value))
    half = inside.clone()
    half[..., :2] = False
    mixed = torch.cat([_image(0.5)[..., :2], _image(1.0)[..., :2]], dim=-1)
    assert float(extremes_penalty(mixed, half)) == 0.0


def test_smoothness_by_hand() -> None:
    """One step of 0.5 down the middle of 4 x 4: four neighbours differ, of 16 texels."""
    regions = torch.zeros(1, 1, 4, 4, dtype=torch.int64)
    step = torch.cat([_image(0.2)[..., :2], _image(0.7)[..., :2]], dim=-1)
    guide = torch.full((1, 3, 4, 4), 0.5)
    soft = 0.02
    expected = 4 * (math.sqrt(0.25 + soft**2) - soft) / 16
    assert float(smoothness_penalty(step, guide, regions, 0.1)) == pytest.approx(expected, rel=1e-5)
    assert float(smoothness_penalty(_image(0.3), guide, regions, 0.1)) == pytest.approx(0.0, abs=1e-9)
    # The same step where the base colour steps too, by 0.1·sqrt(3): held by exp(-3/2).
    guide[..., 2:] = 0.6
    held = expected * math.exp(-1.5)
    assert float(smoothness_penalty(step, guide, regions, 0.1)) == pytest.approx(held, rel=1e-4)
    # And where a material slot ends, or there is no chart: not held at all.
    for outside in (1, -1):
        split = regions.clone()
        split[..., 2:] = outside
        assert float(smoothness_penalty(step, guide, split, 0.1)) == pytest.approx(0.0, abs=1e-9)


def test_the_guide_gets_no_gradient() -> None:
    guide = torch.rand(1, 3, 4, 4, requires_grad=True)
    values = torch.rand(1, 1, 4, 4, requires_grad=True)
    smoothness_penalty(values, guide, torch.zeros(1, 1, 4, 4, dtype=torch.int64), 0.1).backward()
    assert guide.grad is None
    assert values.grad is not None


def _sphere(count: int = 4000) -> Tensor:
    place = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    z, around = 1.0 - 2.0 * place, math.pi * (1.0 + 5.0**0.5) * torch.arange(count, dtype=torch.float64)
    ring = (1.0 - z * z).sqrt()
    return torch.stack([ring * around.cos(), ring * around.sin(), z], dim=1)


def test_light_by_hand() -> None:
    """log tone = k z has variance k²/3 over a sphere, all of it explained; a free pattern has next to none."""
    normals = _sphere()
    basis = harmonics(normals)
    inverse = torch.linalg.pinv(basis)
    regions = torch.zeros(len(normals), dtype=torch.int64)
    tone = 0.4 * torch.exp(0.3 * normals[:, 2:]).expand(-1, 3)
    assert float(light_penalty(tone, basis, inverse, regions, 1)) == pytest.approx(0.09 / 3, rel=1e-3)
    pattern = 0.4 * torch.exp(0.3 * torch.where(torch.arange(len(normals)) % 2 == 0, 1.0, -1.0).double())
    found = float(light_penalty(pattern[:, None].expand(-1, 3), basis, inverse, regions, 1))
    assert found < 1e-3
    # A dark half and a bright half are no light where they are two materials.
    halves = (normals[:, 2] > 0).long()
    split = torch.where(halves[:, None] == 1, 0.8, 0.2).double().expand(-1, 3)
    assert float(light_penalty(split, basis, inverse, halves, 2)) == pytest.approx(0.0, abs=1e-9)
    assert float(light_penalty(split, basis, inverse, regions, 1)) > 0.1


def _field(triangles: TriangleMesh) -> MaterialField:
    texture = TexelPyramidConfig(texture_size=SIZE, coarsest_size=4, start_size=SIZE)
    field = MaterialField(triangles, MaterialFieldConfig(), texture)
    field.set_progress(1.0)
    return field


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metallic_extremes", "smoothness", "color_smoothness", "flat_light", "regions"])
def test_each_prior_alone_lowers_its_penalty(make_quad: MakeQuad, name: str) -> None:
    mesh = make_quad(0.1, 0.9)
    # A bowl, so that normals differ.
    bent = replace(mesh, corner_normals=_bowl(mesh), material_index=np.arange(len(mesh.faces), dtype=np.int32) % 2)
    field = _field(bent)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.normal_(std=0.15, generator=generator)
    prior = MaterialPenalties(field, bent, MaterialPriorConfig(**{name: 1.0}))
    assert isinstance(prior, TexelPenalty)
    adam = torch.optim.Adam(field.parameter_groups(0.01))
    values = []
    for step in range(40):
        adam.zero_grad(set_to_none=True)
        penalty = prior.penalty(step, 1.0)
        assert penalty is not None
        values.append(float(penalty.detach()))
        penalty.backward()
        adam.step()
    assert values[0] > 0.0
    assert values[-1] < 0.6 * values[0]
    touched = {
        key.rpartition("_")[0] for key, p in field.pyramid.details.items() if p.grad is not None and p.grad.any()
    }
    expected = {
        "metallic_extremes": {"metallic"},
        "smoothness": {"roughness", "metallic"},
        "color_smoothness": {"base_color"},
        "flat_light": {"base_color"},
        "regions": {"roughness", "metallic"},
    }
    assert touched == expected[name]


def _bowl(mesh: TriangleMesh) -> np.ndarray:
    places = mesh.positions[mesh.faces] - 0.5
    normals = np.concatenate([places[..., :2], np.full((*places.shape[:2], 1), 0.4)], axis=-1)
    return (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32)


def test_switched_off_priors_do_nothing(make_quad: MakeQuad) -> None:
    field = _field(make_quad())
    assert MaterialPenalties(field, field.triangles, MaterialPriorConfig()).penalty(0, 1.0) is None
    late = MaterialPenalties(field, field.triangles, MaterialPriorConfig(metallic_extremes=1.0, from_progress=0.5))
    early = late.penalty(0, 0.4)
    assert early is not None
    assert float(early.detach()) == 0.0
    half, whole = late.penalty(0, 0.75), late.penalty(0, 1.0)
    assert half is not None
    assert whole is not None
    assert float(half.detach()) == pytest.approx(0.5 * float(whole.detach()))


def test_regions_wait_and_draw_the_same_pairs_in_the_same_step(make_quad: MakeQuad) -> None:
    field = _field(make_quad())
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.normal_(std=0.15, generator=torch.Generator().manual_seed(6))
    prior = MaterialPenalties(field, field.triangles, MaterialPriorConfig(regions=1.0, from_progress=0.5))
    values = [prior.penalty(step, progress) for step, progress in ((3, 0.4), (3, 0.75), (3, 1.0), (3, 1.0), (4, 1.0))]
    early, half, whole, again, other = (float(value.detach()) for value in values if value is not None)
    assert early == 0.0
    assert half == pytest.approx(0.5 * whole)
    assert whole == again
    assert whole != other


def test_every_so_many_steps_with_so_many_times_the_weight(make_quad: MakeQuad) -> None:
    field = _field(make_quad())
    config = MaterialPriorConfig(metallic_extremes=1.0)
    once = MaterialPenalties(field, field.triangles, config).penalty(0, 1.0)
    third = MaterialPenalties(field, field.triangles, replace(config, every=3))
    assert third.penalty(1, 1.0) is None
    thrice = third.penalty(3, 1.0)
    assert once is not None
    assert thrice is not None
    assert float(thrice.detach()) == pytest.approx(3.0 * float(once.detach()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smoothness": -1.0}, "priors.smoothness is -1"),
        ({"regions": float("nan")}, "priors.regions is nan"),
        ({"every": 0}, "every 0"),
        ({"region_scale": 0.0}, "region_scale 0"),
        ({"color_scale": 0.0}, "color_scale 0"),
        ({"from_progress": 1.0}, "from_progress 1"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaterialPriorConfig(**changes)  # pyright: ignore[reportArgumentType]
