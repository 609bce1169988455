# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools
import math

import pytest
import torch
import torch.nn.functional as F

from pgc.color_space import linear_from_srgb
from pgc.errors import TextureError
from pgc.rendering.environment import colored_key, prefilter, studio
from pgc.rendering.latlong import Environment
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import pbr, pbr_linear, pbr_shade, surface_samples
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.tone_curve import picture_from_radiance
from tests.pgc.rendering.monte_carlo import integrate, radiance_of
from tests.pgc.rendering.turned import turned_environment

EYE = torch.tensor([[0.0, -60.0, 0.0]])
make_light = functools.cache(lambda make: prefilter(make()))


@functools.cache
def white() -> Light:
    return Light(environment=prefilter(Environment("white", torch.ones(3, 128, 256))))


def ball(size: int = 12) -> GBuffer:
    """A unit ball seen from -Y, with u along the equator; the corners of the picture are off it."""
    step = (torch.arange(size) + 0.5) / size * 2 - 1
    z, x = torch.meshgrid(-step, step, indexing="ij")
    mask = x * x + z * z < 0.98
    y = -(1 - x * x - z * z).clamp_min(0).sqrt()
    normal = torch.stack([x, y, z]) * mask
    tangent = F.normalize(torch.stack([-y, x, torch.zeros_like(x)]), dim=0) * mask
    empty = torch.zeros(1, 1, size, size)
    return GBuffer(
        face_index=torch.where(mask, 0, -1)[None].int(),
        barycentrics=empty.expand(-1, 3, -1, -1),
        uv=empty.expand(-1, 2, -1, -1),
        uv_footprint=empty.expand(-1, 4, -1, -1),
        position=normal[None],
        normal=normal[None],
        tangent=torch.cat([tangent, mask[None].float()])[None],
        depth=empty,
        mask=mask[None, None],
        coverage=mask[None, None].float(),
    )


def material(color=(0.8, 0.6, 0.4), roughness=0.5, metallic=0.0, size: int = 12) -> dict[str, torch.Tensor]:
    def plane(*values: float) -> torch.Tensor:
        return torch.tensor(values).view(1, -1, 1, 1).expand(1, -1, size, size).clone()

    return {"base_color": plane(*color), "roughness": plane(roughness), "metallic": plane(metallic)}


@pytest.mark.slow
@pytest.mark.parametrize("roughness", [0.1, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_it_agrees_with_the_slow_reference(roughness, metallic):
    surface, values = ball(20), material(roughness=roughness, metallic=metallic, size=20)
    samples = surface_samples(surface, values, EYE)
    terms = integrate(samples, studio(), count=192, generator=torch.Generator().manual_seed(1))
    expected = picture_from_radiance(radiance_of(terms, samples))
    image = pbr(surface, values, Light(environment=make_light(studio)), eye=EYE)
    found = image.permute(0, 2, 3, 1)[surface.mask[:, 0]]
    # One environment and one material; over many the error is half of this (tests/benchmarks/split_sum.py).
    assert (found - expected).square().mean().sqrt() < 0.025
    assert (found.mean(0) - expected.mean(0)).abs().max() < 0.015


def test_a_white_rough_metal_under_white_light_is_white():
    image = pbr_linear(ball(), material((1.0, 1.0, 1.0), 1.0, 1.0), white(), eye=EYE)
    inside = image.permute(0, 2, 3, 1)[ball().mask[:, 0]]
    assert (inside - 1).abs().max() < 0.02


def test_a_white_dielectric_gives_back_all_it_gets():
    for roughness in (0.1, 0.5, 1.0):
        image = pbr_linear(ball(), material((1.0, 1.0, 1.0), roughness), white(), eye=EYE)
        inside = image.permute(0, 2, 3, 1)[ball().mask[:, 0]]
        assert (inside - 1).abs().max() < 0.01


def test_straight_on_a_mirror_shows_what_is_behind_the_viewer():
    environment = colored_key()
    image = pbr_linear(
        ball(11), material((1.0, 1.0, 1.0), 0.0, 1.0, 11), Light(environment=prefilter(environment)), eye=EYE
    )
    behind = environment.radiance[:, 63:65, 63:65].mean((1, 2))  # towards -Y
    assert torch.allclose(image[0, :, 5, 5], behind, atol=0.02)


def test_rotation_and_exposure_are_a_turned_and_brighter_environment():
    surface, values, angle = ball(), material(roughness=0.3, metallic=1.0), 1.1
    light = Light(environment=make_light(colored_key), rotation=torch.tensor([angle]), exposure=torch.tensor([1.0]))
    turned = Light(environment=prefilter(turned_environment(colored_key(), angle)))
    found, expected = pbr_linear(surface, values, light, eye=EYE), 2 * pbr_linear(surface, values, turned, eye=EYE)
    assert (found - expected).abs().mean() < 0.01 * expected.mean()


def test_every_view_has_its_own_turn_and_exposure():
    two = GBuffer.cat([ball(), ball()])
    maps = {name: torch.cat([value, value]) for name, value in material(roughness=0.3, metallic=1.0).items()}
    light = Light(environment=make_light(studio), rotation=torch.tensor([0.0, 2.0]), exposure=torch.tensor([0.0, -1.0]))
    both = pbr_linear(two, maps, light, eye=EYE.expand(2, 3))
    for index in (0, 1):
        one = Light(
            environment=light.environment, rotation=float(light.rotation[index]), exposure=float(light.exposure[index])
        )
        alone = pbr_linear(ball(), material(roughness=0.3, metallic=1.0), one, eye=EYE)
        assert torch.allclose(both[index : index + 1], alone, atol=1e-5)


def test_a_flat_normal_map_changes_nothing_and_a_tilted_one_turns_towards_u_and_v():
    surface, values = ball(), material()
    plain = surface_samples(surface, values, EYE)
    flat = torch.tensor([0.5, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 12, 12)
    assert torch.allclose(surface_samples(surface, {**values, "normal": flat}, EYE).normal, plain.normal, atol=1e-5)
    where = surface.mask[:, 0]
    tangent = surface.tangent.permute(0, 2, 3, 1)[where][:, :3]
    bitangent = torch.linalg.cross(plain.normal, tangent)
    assert (bitangent[:, 2] > 0).all()  # up: OpenGL's green is growing v
    for stored, direction in (((0.8, 0.5, 0.9), tangent), ((0.5, 0.8, 0.9), bitangent)):
        tilted = torch.tensor(stored).view(1, 3, 1, 1).expand(1, 3, 12, 12)
        normal = surface_samples(surface, {**values, "normal": tilted}, EYE).normal
        assert ((normal * direction).sum(1) - 0.6).abs().max() < 1e-5


def test_occlusion_darkens_and_one_is_none():
    surface, values = ball(), material()
    light = Light(environment=make_light(studio))
    free = pbr_linear(surface, values, light, eye=EYE)
    one = torch.ones(1, 1, 12, 12)
    assert torch.allclose(pbr_linear(surface, {**values, "occlusion": one}, light, eye=EYE), free, atol=1e-6)
    half = pbr_linear(surface, {**values, "occlusion": 0.5 * one}, light, eye=EYE)
    assert (half <= free).all()
    assert half.sum() < 0.62 * free.sum()
    assert pbr_linear(surface, {**values, "occlusion": 0 * one}, light, eye=EYE).abs().max() < 1e-6


def test_nothing_off_the_mask_and_nothing_but_numbers_on_it():
    surface = ball()
    values = {name: value.requires_grad_() for name, value in material(roughness=0.0, metallic=0.5).items()}
    values["normal"] = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    image = pbr(surface, values, Light(environment=make_light(studio)), eye=EYE)
    assert image.isfinite().all()
    assert (image.permute(0, 2, 3, 1)[~surface.mask[:, 0]] == 0).all()
    assert image.min() >= 0
    assert image.max() <= 1
    image.sum().backward()
    for name, value in values.items():
        assert value.grad.isfinite().all(), name
        assert value.grad.abs().sum() > 0, name


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_no_map_sticks_at_the_edge_of_its_range(edge):
    values = {name: torch.full_like(value, edge) for name, value in material(roughness=0.5, metallic=0.5).items()}
    values = {name: value.requires_grad_() for name, value in values.items()}
    pbr(ball(), values, Light(environment=make_light(studio)), eye=EYE).sum().backward()
    for name in ("roughness", "metallic", "base_color"):
        assert values[name].grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", ["base_color", "roughness", "metallic", "normal"])
def test_gradients_agree_with_differences(name):
    surface, light = ball(6), Light(environment=make_light(colored_key))
    values = material(roughness=0.47, metallic=0.4, size=6)
    values["normal"] = torch.tensor([0.6, 0.45, 0.95]).view(1, 3, 1, 1).expand(1, 3, 6, 6).clone()
    weights = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(5))
    direction = torch.rand(values[name].shape, generator=torch.Generator().manual_seed(6))

    def value(shift: float) -> float:
        moved = {**values, name: values[name] + shift * direction}
        return float((pbr(surface, moved, light, eye=EYE).double() * weights).sum())

    values[name].requires_grad_()
    (gradient,) = torch.autograd.grad((pbr(surface, values, light, eye=EYE) * weights).sum(), values[name])
    values[name] = values[name].detach()
    numeric = (value(2e-3) - value(-2e-3)) / 4e-3
    # Lookups are linear between texels and levels: a finite step may meet a kink, the gradient does not see it.
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=0.03, abs=2e-3)


def test_the_shade_function_takes_a_viewed_light():
    surface, values, light = ball(), material(), Light(environment=make_light(studio))
    image = pbr_shade(surface, values, ViewedLight(light=light, eye=EYE))
    assert torch.equal(image, pbr(surface, values, light, eye=EYE))
    with pytest.raises(TextureError, match="ViewedLight"):
        pbr_shade(surface, values, None)


def test_materials_that_do_not_fit_are_refused():
    surface, light = ball(), Light(environment=make_light(studio))
    with pytest.raises(TextureError, match="needs 'base_color'"):
        pbr(surface, {"roughness": torch.zeros(1, 1, 12, 12)}, light, eye=EYE)
    with pytest.raises(TextureError, match="Got roughness"):
        pbr(surface, {**material(), "roughness": torch.zeros(1, 3, 12, 12)}, light, eye=EYE)


def test_base_color_is_decoded_and_an_empty_view_is_black():
    samples = surface_samples(ball(), material((0.5, 0.5, 0.5)), EYE)
    assert torch.allclose(samples.base_color, linear_from_srgb(torch.tensor(0.5)))
    nothing = dataclasses.replace(ball(), mask=torch.zeros(1, 1, 12, 12, dtype=torch.bool))
    image = pbr(nothing, material(), Light(environment=make_light(studio), rotation=math.pi), eye=EYE)
    assert image.abs().max() == 0
