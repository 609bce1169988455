# SPDX-License-Identifier: Apache-2.0
"""The field, the grid that says where there is nothing, what cameras see, light and penalties."""

import math
from dataclasses import replace

import pytest
import torch

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.volume.field import VolumeField, VolumeFieldConfig, ball_distances
from pgc.volume.light.marching import MarchConfig
from pgc.volume.light.penalties import VolumePenaltyConfig, volume_penalty, with_penalty
from pgc.volume.light.shading import ShadingConfig, drawn_shading, lit_color
from pgc.volume.occupancy import OccupancyConfig, OccupancyGrid
from pgc.volume.volume import Volume, VolumeConfig

SIZES = VolumeFieldConfig(grid_levels=3, coarsest_cells=4, finest_cells=16, rows=512, hidden=8, start_density=30.0)
SMALL = VolumeConfig(field=SIZES, occupancy=OccupancyConfig(cells=16), march=MarchConfig(step=0.04))
CAMERA = Camera.look_at((0.0, -2.4, 0.3), focal=1.0)


def ball(radius: float = 0.5, config: VolumeConfig = SMALL) -> Volume:
    return Volume(config, ball_distances(33, radius))


@pytest.mark.parametrize("activation", ["softplus", "exp"])
def test_a_field_begins_as_its_start_and_levels_are_densities(activation):
    field = VolumeField(replace(SIZES, activation=activation), ball_distances(33, 0.5))
    with torch.no_grad():
        field.get_parameter("colors_weight").zero_()
        field.get_parameter("colors_bias").zero_()
    places = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, -0.75, 0.0]])
    torch.testing.assert_close(field.level_at(places), torch.tensor([30.0, 0.0, -15.0]), rtol=0.0, atol=1e-4)
    density, color = field.at(places)
    assert torch.equal(density, field.density_at(places))
    assert density[1].item() == pytest.approx(math.log(2.0) if activation == "softplus" else 1.0, abs=1e-4)
    assert color.tolist() == [[0.5] * 3] * 3
    assert field.config.level_of(density[1].item()) == pytest.approx(0.0, abs=1e-4)


def test_a_start_lies_where_its_axes_say():
    distances = torch.full((17, 17, 17), 1.0)
    distances[16, 8, 0] = -1.0
    field = VolumeField(SIZES, distances)
    levels = field.level_at(torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]))
    assert levels[0].item() > 50.0 > -50.0 > levels[1].item()


def test_occupancy_finds_what_is_dense_and_its_surroundings_and_forgets_what_goes():
    grid = OccupancyGrid(OccupancyConfig(cells=16, every=1, threshold=0.1), seed=3)
    assert bool(grid.live.all())
    grid.after_step(lambda places: torch.where(places.norm(dim=1) < 0.4, 5.0, 0.0))
    inside = torch.nn.functional.normalize(torch.randn((200, 3)), dim=1) * torch.linspace(0.0, 0.4, 200)[:, None]
    assert bool(grid.contains(inside).all())
    assert not grid.contains(torch.tensor([[0.9, 0.9, 0.9], [-0.7, 0.0, 0.0]])).any()
    for _ in range(60):
        grid.after_step(lambda places: torch.zeros(len(places)))
    assert not grid.live.any()


def test_occupancy_is_looked_after_each_few_steps_and_the_same_each_time():
    def made(steps: int) -> OccupancyGrid:
        grid = OccupancyGrid(OccupancyConfig(cells=8, every=4), seed=3)
        for _ in range(steps):
            grid.after_step(lambda places: places[:, 0] + 1.0)
        return grid

    first, fourth, fifth = made(1), made(4), made(5)
    assert torch.equal(first.density, fourth.density)
    assert not torch.equal(fourth.density, fifth.density)
    assert torch.equal(fifth.density, made(5).density)


def test_a_volume_shows_a_ball_where_it_is():
    sight = ball().look([CAMERA], 24)
    middle = sight.gbuffer.depth[0, 0, 12, 12]
    # It is soft: light comes from a little below the surface.
    assert math.hypot(2.4, 0.3) - 0.5 < float(middle) < math.hypot(2.4, 0.3) - 0.3
    assert sight.opacity[0, 0, 12, 12].item() > 0.95
    assert sight.opacity[0, 0, 0, 0].item() == 0.0
    assert not sight.gbuffer.depth[~sight.gbuffer.mask].any()
    # A disc of radius 0.5 at distance 2.42, of 24 pixels a unit of height at distance 1.
    radius = 0.5 / math.sqrt(2.42**2 - 0.5**2) * 24
    assert float(sight.gbuffer.mask.sum()) == pytest.approx(math.pi * radius**2, rel=0.25)
    sight.opacity.sum().backward()


def test_skipping_empty_space_shows_what_dense_marching_shows():
    """With the grid that a run has, and not one that was made for the purpose."""
    volume = ball()
    seen = volume.look([CAMERA], 16)
    volume.occupancy.live.fill_(True)
    dense = volume.look([CAMERA], 16)
    assert seen.looks < 0.5 * dense.looks
    # What the threshold of density lets pass: less than a tenth of a ray of length 1.
    torch.testing.assert_close(seen.opacity, dense.opacity, rtol=0.0, atol=0.02)


def test_normals_of_a_ball_point_outward():
    outward = torch.nn.functional.normalize(torch.randn((50, 3), generator=torch.Generator().manual_seed(1)), dim=1)
    found = ball().normals_at(0.45 * outward)
    assert (found * outward).sum(dim=1).min().item() > 0.95


def test_light_falls_from_the_camera_and_plaster_has_no_colour():
    config = ShadingConfig(lit=1.0, plaster=0.5, ambient=0.2)
    color, opacity = torch.rand((1, 3, 2, 2)), torch.ones((1, 1, 2, 2))
    facing = torch.tensor([[[[1.0, 0.5], [0.0, -1.0]]]])
    assert torch.equal(lit_color("plain", config, color, opacity, None), color)
    lit = lit_color("lit", config, color, opacity, facing)
    torch.testing.assert_close(lit / color, torch.tensor([[1.0, 0.6], [0.2, 0.2]]).expand(1, 3, 2, 2))
    plaster = lit_color("plaster", config, color, opacity, facing)
    assert torch.equal(plaster[:, 0], plaster[:, 2])
    drawn = [drawn_shading(config, 0, index, 0.5) for index in range(200)]
    assert 60 < drawn.count("plaster") < 140
    assert "plain" not in drawn
    assert {drawn_shading(replace(config, plain_until=0.6), 0, index, 0.5) for index in range(20)} == {"plain"}


def test_penalties_are_what_their_formulas_say_and_go_back_with_the_picture():
    opacity = torch.tensor([[[[0.0, 0.5], [1.0, 0.25]]]], requires_grad=True)
    facing = torch.tensor([[[[1.0, -0.5], [0.5, -1.0]]]])
    for name, value in {
        "opacity": sum(math.sqrt(share * share + 0.01) for share in (0.0, 0.5, 1.0, 0.25)),
        "entropy": 1.0 + 0.811278 + 2 * 0.001473,
        "orientation": 0.5 * 0.25 + 0.25,
    }.items():
        found = volume_penalty(VolumePenaltyConfig(**{name: 2.0}), opacity, facing)
        assert found.item() == pytest.approx(2.0 * value, abs=2e-3), name
    image = torch.ones((1, 3, 2, 2), requires_grad=True)
    penalty = 3.0 * opacity.square().sum()
    shown = with_penalty(image * opacity, penalty)
    assert torch.equal(shown, image * opacity)
    gradient = torch.full_like(shown, 0.1)
    shown.backward(gradient)
    torch.testing.assert_close(opacity.grad, 6.0 * opacity.detach() + 0.3)
    torch.testing.assert_close(image.grad, (0.1 * opacity).expand(1, 3, 2, 2).detach())


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: VolumeFieldConfig(hidden=0), "expected numbers above 0"),
        (lambda: VolumeFieldConfig(start_density=0.0), "start_density is 0.0"),
        (lambda: OccupancyConfig(cells=1), "expected 2 to 256"),
        (lambda: OccupancyConfig(decay=1.0), "decay 1.0"),
        (lambda: ShadingConfig(lit=2.0), r"shading\.lit is 2"),
        (lambda: VolumePenaltyConfig(entropy=-1.0), r"penalties\.entropy is -1"),
    ],
)
def test_impossible_settings_are_refused(made, said):
    with pytest.raises(ConfigError, match=said):
        made()
