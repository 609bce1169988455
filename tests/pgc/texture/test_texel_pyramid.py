# SPDX-License-Identifier: Apache-2.0
"""The texel pyramid as a run uses it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pgc.errors import ConfigError, TextureError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture import texel_pyramid
from pgc.texture.composition import mip_chain
from pgc.texture.field import BakedTexture
from pgc.texture.mip_fetch import sample_mipmapped_reference
from pgc.texture.texel_config import TexelLayout, TexelMaps
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

SIZE = 32
MakeQuad = Callable[..., TriangleMesh]
MakePoints = Callable[..., SurfacePoints]
TWO_MAPS = TexelMaps(channels={"base_color": 3, "roughness": 1})


def _config(**changes: object) -> TexelPyramidConfig:
    return TexelPyramidConfig(texture_size=SIZE, coarsest_size=4, start_size=8, **changes)  # pyright: ignore[reportArgumentType]


def _image(seed: int = 0) -> BakedTexture:
    generator = torch.Generator().manual_seed(seed)
    return BakedTexture.from_uint8(
        {"base_color": [torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator)]}
    )


def _points(make_points: MakePoints, texels_a_pixel: float = 0.5, seed: int = 1) -> SurfacePoints:
    generator = torch.Generator().manual_seed(seed)
    uv = torch.rand(2, 2, 12, 12, generator=generator)
    footprint = torch.randn(2, 4, 12, 12, generator=generator) * texels_a_pixel / SIZE
    return make_points(uv, footprint, torch.rand(2, 1, 12, 12, generator=generator) < 0.8)


def _train(field: TexelPyramid, points: SurfacePoints, steps: int) -> None:
    adam = torch.optim.Adam(field.parameter_groups(0.05))
    for step in range(steps):
        field.set_progress(step / steps)
        adam.zero_grad(set_to_none=True)
        value = field.sample(points)["base_color"]
        ((value - points.uv[:, :1].repeat(1, 3, 1, 1)) ** 2).sum().backward()
        adam.step()
        field.after_step()


def test_initial_texture_is_exact_at_the_start_and_a_fixed_point(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = TexelPyramid(make_quad(), _config(), _image())
    assert torch.equal(field.bake().to_uint8()["base_color"][0], _image().to_uint8()["base_color"][0])
    field.set_progress(1.0)
    points = _points(make_points)
    adam = torch.optim.Adam(field.parameter_groups(0.1))
    value = field.sample(points)["base_color"]
    (value - value.detach()).square().sum().backward()
    adam.step()
    assert all(not parameter.grad.any() for parameter in field.parameters() if parameter.grad is not None)
    assert torch.equal(field.bake().maps["base_color"][0], _image().maps["base_color"][0])


def test_samples_are_the_mips_of_the_baked_texture(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = TexelPyramid(make_quad(), _config())
    field.set_progress(1.0)
    for parameter in field.parameters():
        parameter.data.normal_(std=0.02, generator=torch.Generator().manual_seed(2))
    points = _points(make_points, 2.0)
    texture = field.texels("base_color", 0)[0]
    assert texture is not None
    assert 0.0 < texture.min() < texture.max() < 1.0  # clamping is the one thing that mips do not commute with
    mips = mip_chain(texture, field._normalised, field.config.levels)
    slow = sample_mipmapped_reference(mips, points.uv, points.uv_footprint, mask=points.mask)
    torch.testing.assert_close(field.sample(points)["base_color"], slow, rtol=0, atol=2e-5)


def test_gradients_reach_a_target(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = TexelPyramid(make_quad(), _config())
    points = _points(make_points)
    _train(field, points, 80)
    value = field.sample(points)["base_color"].detach()
    error = ((value - points.uv[:, :1]) * points.mask).abs().sum() / (3 * points.mask.sum())
    assert error < 0.02
    assert value.min() >= 0.0
    assert value.max() <= 1.0


def test_levels_join_from_coarse_to_fine(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = TexelPyramid(make_quad(), _config())
    live = []
    for fraction in (0.0, 0.49, 0.5, 0.99, 1.0):
        field.set_progress(fraction)
        live.append(field.finest_live)
    assert live == [2, 2, 1, 1, 0]
    field.set_progress(0.0)
    field.sample(_points(make_points))["base_color"].sum().backward()
    gradients = [field.details[f"base_color_{level}"].grad is not None for level in range(4)]
    assert gradients == [False, False, True, True]
    with pytest.raises(ConfigError, match="progress"):
        field.set_progress(1.5)


def test_levels_that_no_pixel_needs_get_no_gradient(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = TexelPyramid(make_quad(), _config())
    field.set_progress(1.0)
    points = make_points(torch.rand(1, 2, 4, 4), torch.full((1, 4, 4, 4), 2.9 / SIZE))
    field.sample(points)["base_color"].sum().backward()
    assert field.details["base_color_0"].grad is None
    assert field.details["base_color_1"].grad is None
    assert field.details["base_color_2"].grad is not None


def test_learning_rates_fall_towards_fine_levels(make_quad: MakeQuad) -> None:
    field = TexelPyramid(make_quad(), _config(rate_falloff=0.5), maps=TWO_MAPS)
    groups = field.parameter_groups(0.8)
    assert [group["lr"] for group in groups] == [0.1, 0.2, 0.4, 0.8] * 2
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in field.parameters()}


def test_same_inputs_same_bits_and_state_round_trip(make_quad: MakeQuad, make_points: MakePoints) -> None:
    points = _points(make_points)
    fields = [TexelPyramid(make_quad(), _config()) for _ in range(2)]
    for field in fields:
        _train(field, points, 12)
    restored = TexelPyramid(make_quad(), _config())
    restored.load_state_dict(fields[0].state_dict())
    assert restored.finest_live == fields[0].finest_live
    for other in (fields[1], restored):
        for name, value in fields[0].state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    assert torch.equal(fields[0].bake().maps["base_color"][0], restored.bake().maps["base_color"][0])


def test_the_updates_of_a_step_share_one_plan(
    make_quad: MakeQuad, make_points: MakePoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[tuple[int, int]] = []
    real = texel_pyramid.plan_fetch

    def count(*arguments: Any, levels: tuple[int, int], **options: Any) -> Any:
        planned.append(levels)
        return real(*arguments, levels=levels, **options)

    monkeypatch.setattr(texel_pyramid, "plan_fetch", count)
    field, points = TexelPyramid(make_quad(), _config()), _points(make_points)
    first = [field.sample(points)["base_color"] for _ in range(3)]
    assert len(planned) == 1
    assert torch.equal(first[0], first[2])
    field.sample(_points(make_points, seed=2))
    assert len(planned) == 2, "other points"
    field.set_progress(1.0)
    field.sample(_points(make_points, seed=2))
    assert len(planned) == 3
    assert planned[2][0] < planned[1][0], "a level joined"


def test_points_looked_at_without_gradients_are_seen_once_they_count(
    make_quad: MakeQuad, make_points: MakePoints
) -> None:
    field, points = TexelPyramid(make_quad(), _config()), _points(make_points)
    blank = {key: value.clone() for key, value in field.state_dict().items()}
    with torch.no_grad():
        field.sample(points)
    assert not any(bool(level.any()) for level in field.seen)
    field.sample(points)
    marked = [level.clone() for level in field.seen]
    assert any(bool(level.any()) for level in marked)
    field.load_state_dict(blank)
    assert not any(bool(level.any()) for level in field.seen)
    field.sample(points)
    assert all(torch.equal(a, b) for a, b in zip(field.seen, marked, strict=True)), "marked anew after a restore"


def test_channel_groups_and_tiles(make_quad: MakeQuad, make_points: MakePoints) -> None:
    layout = TexelLayout(tiles=(1001, 1002))
    field = TexelPyramid(make_quad(0.0, 2.0), _config(), layout=layout, maps=TWO_MAPS)
    values = field.sample(_points(make_points))
    assert {name: value.shape[1] for name, value in values.items()} == {"base_color": 3, "roughness": 1}
    baked = field.bake()
    assert [tuple(image.shape) for image in baked.maps["roughness"]] == [(1, SIZE, SIZE)] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texture_size": 100}, "power of two"),
        ({"coarsest_size": 3}, "coarsest_size"),
        ({"coarsest_size": 1024}, "above the texture size"),
        ({"rate_falloff": 0.0}, "rate_falloff"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TexelPyramidConfig(**changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiles": (1001, 1001)}, "distinct"),
        ({"tiles": ()}, "distinct"),
        ({"tiles": (1000,)}, "from 1001 on"),
        ({"tiles": (1001, 1002), "repeat": True}, "one tile"),
    ],
)
def test_bad_layouts_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TexelLayout(**changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("channels", [{}, {"roughness": 0}])
def test_bad_maps_are_refused(channels: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least one map"):
        TexelMaps(channels=channels)


def test_an_initial_texture_that_does_not_fit_is_refused(make_quad: MakeQuad) -> None:
    small = BakedTexture(maps={"base_color": [torch.zeros(3, 16, 16)]})
    with pytest.raises(TextureError, match="resize it"):
        TexelPyramid(make_quad(), _config(), small)
    with pytest.raises(TextureError, match="no map 'roughness'"):
        TexelPyramid(make_quad(), _config(), _image(), maps=TexelMaps(channels={"roughness": 1}))
    with pytest.raises(TextureError, match="tiles"):
        TexelPyramid(make_quad(), _config(), _image(), layout=TexelLayout(tiles=(1002,)))


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("size", [SIZE, SIZE // 4])
def test_a_painted_field_shows_what_was_painted(make_quad: MakeQuad, begun: bool, size: int) -> None:
    field = TexelPyramid(make_quad(), _config(), _image() if begun else None)
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    seen = torch.zeros(1, size, size, dtype=torch.bool)
    seen[:, : size // 2] = True
    field.paint("base_color", image, seen)
    assert field.finest_live == 0
    shown = field.texels("base_color", 0)[SIZE.bit_length() - size.bit_length()]
    assert shown is not None
    assert torch.allclose(shown, image, atol=1e-5)
    whole = field.bake(finish=False)
    assert whole.uncovered_fraction == pytest.approx(0.5)


def test_painting_leaves_locked_texels(make_quad: MakeQuad) -> None:
    locked = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    locked[:8] = True
    field = TexelPyramid(make_quad(), _config(), _image(), [locked])
    field.paint("base_color", torch.full((1, 3, SIZE, SIZE), 0.25), torch.ones(1, SIZE, SIZE, dtype=torch.bool))
    done, before = (texture.to_uint8()["base_color"][0] for texture in (field.bake(), _image()))
    assert torch.equal(done[:, locked], before[:, locked])
    # Within a block that is locked in part, and at coarser levels, some of the old shines through.
    assert (done[:, 16:].float() / 255 - 0.25).abs().mean() < 0.02


def test_what_cannot_be_painted_is_refused(make_quad: MakeQuad) -> None:
    field = TexelPyramid(make_quad(), _config())
    for name, size in (("roughness", SIZE), ("base_color", SIZE - 1), ("base_color", 1)):
        with pytest.raises(TextureError, match=f"Got map '{name}' of {size} texels a side to paint"):
            field.paint(name, torch.zeros(1, 3, size, size), torch.zeros(1, size, size, dtype=torch.bool))
