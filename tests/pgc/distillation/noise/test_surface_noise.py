# SPDX-License-Identifier: Apache-2.0
"""Noise on a plane that a camera looks at from where a test wants it."""

import math

import pytest
import torch

from pgc.distillation.noise.sources import IndependentNoiseConfig, SurfaceNoiseConfig, draw_noise
from pgc.distillation.noise.surface_noise import noise_level, owned_texels, surface_noise
from pgc.errors import ConfigError, GuidanceError
from pgc.surface import SurfacePoints

SIDE, LATENTS = 128, 32
"""Pixels of the picture, and of the latents: four to one."""


def plane(*, shift=(0.0, 0.0), zoom=1.0, turn=0.0, folded=False):
    """A view of the UV square [0, 1]²: `zoom` times as near, turned, and moved by a share of the picture."""
    at = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE - 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    cos, sin = math.cos(turn) / zoom, math.sin(turn) / zoom
    u, v = 0.5 + cos * x - sin * y + shift[0], 0.5 - (sin * x + cos * y) + shift[1]
    if folded:
        u = torch.where(u < 0.5, u, 1.0 - u)
    footprint = torch.tensor([cos, -sin, -sin, -cos]) / SIDE
    mask = ((u >= 0) & (u < 1) & (v >= 0) & (v < 1))[None, None]
    nothing = torch.zeros(1, 3, SIDE, SIDE)
    return SurfacePoints(
        uv=torch.stack([u, v])[None].float() * mask,
        uv_footprint=footprint.float()[None, :, None, None].expand(1, 4, SIDE, SIDE),
        position=nothing,
        normal=nothing,
        mask=mask,
    )


def elsewhere(seed=0):
    return torch.randn((1, 4, LATENTS, LATENTS), generator=torch.Generator().manual_seed(seed))


def noise(view, seed=0, background=0):
    return surface_noise(view, elsewhere(background), seed=seed)


VIEWS = {
    "straight": {},
    "near": {"zoom": 3.7},
    "far": {"zoom": 0.4},
    "turned": {"turn": 0.5, "shift": (0.1, 0.05)},
    "folded": {"folded": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_within_a_view_it_is_white_and_of_unit_variance(view):
    """Over 6 seeds of the surface and of the background: 24,576 values, whose mean product strays by 0.0064."""
    drawn = torch.cat([noise(plane(**view), seed, seed + 100) for seed in range(6)])
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(drawn.var()) == pytest.approx(1.0, abs=0.04)
    assert float(drawn.pow(4).mean()) == pytest.approx(3.0, abs=0.3)
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1), (2, 0)):
        shifted = drawn.roll((row, column), (2, 3))[:, :, 2:-2, 2:-2]
        assert float((drawn[:, :, 2:-2, 2:-2] * shifted).mean()) == pytest.approx(0.0, abs=0.03)
    # A folded plane shows one place twice, side by side.
    assert float((drawn * drawn.flip(3)).mean()) == pytest.approx(0.0, abs=0.04)
    assert float((drawn[:, 0] * drawn[:, 1]).mean()) == pytest.approx(0.0, abs=0.06)


def correlation(first, second):
    return float((first * second).mean() / (first.std() * second.std()))


@pytest.mark.slow
def test_a_point_has_the_same_noise_in_two_views():
    """Moved by four latents to the side: the same values, four latents on."""
    shift = 4 / LATENTS
    first, second = (
        torch.cat([noise(plane(shift=at), seed) for seed in range(2)]) for at in ((0.0, 0.0), (shift, 0.0))
    )
    # Not the columns that only one of the views shows.
    assert correlation(first[..., 4:], second[..., :-4]) > 0.98
    assert abs(correlation(first, second)) < 0.05


@pytest.mark.slow
def test_half_a_latent_further_half_the_noise_is_the_same():
    first, second = (
        torch.cat([noise(plane(shift=at), seed) for seed in range(2)]) for at in ((0.0, 0.0), (0.5 / LATENTS, 0.0))
    )
    assert 0.4 < correlation(first[..., 1:], second[..., :-1]) < 0.6
    assert 0.4 < correlation(first, second) < 0.6


@pytest.mark.slow
def test_from_twice_as_near_four_latents_make_up_what_was_one():
    """Nearer by two, the texels are a level finer; their sum is what the far view saw."""
    far, near = (torch.cat([noise(plane(zoom=zoom), seed) for seed in range(2)]) for zoom in (1.0, 2.0))
    together = near.unfold(2, 2, 2).unfold(3, 2, 2).sum(dim=(4, 5)) / 2
    middle = far[..., 8:24, 8:24]
    assert correlation(middle, together) > 0.98


def test_the_background_has_the_noise_of_the_step():
    view = plane(zoom=0.4)
    drawn = noise(view, background=7)
    shown = view.mask[0, 0].unfold(0, 4, 4).unfold(1, 4, 4).any(dim=3).any(dim=2)
    assert torch.equal(drawn[..., ~shown], elsewhere(7)[..., ~shown])
    assert not torch.isclose(drawn[..., shown], elsewhere(7)[..., shown]).any()


def test_a_view_of_nothing_is_the_noise_of_the_step():
    view = plane(shift=(5.0, 0.0))
    assert not view.mask.any()
    assert torch.equal(noise(view, background=3), elsewhere(3))


def test_a_texel_goes_to_the_pixel_that_covers_most_of_it():
    texel, pixel = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([3, 5, 5, 4, 2, 3])
    owned, owner = owned_texels(texel, pixel)
    assert dict(zip(owned.tolist(), owner.tolist(), strict=True)) == {0: 5, 1: 2, 2: 3}


def test_texels_are_half_a_latent_wide_but_no_finer_than_the_picture():
    view = plane()
    assert noise_level(view.uv_footprint[0], view.mask[0, 0], 4.0) == 6  # 1/64: half of 1/32
    assert noise_level(view.uv_footprint[0], view.mask[0, 0], 1.0) == 7  # 1/128: a pixel
    assert noise_level(view.uv_footprint[0] * 0.0, view.mask[0, 0], 4.0) == 20
    assert noise_level(view.uv_footprint[0] * 1e6, view.mask[0, 0], 4.0) == 0


@pytest.mark.slow
def test_fresh_noise_is_mixed_in_by_its_share_of_the_variance():
    latents, view = torch.zeros(1, 4, LATENTS, LATENTS), plane()

    def drawn(seed, fresh):
        return draw_noise(SurfaceNoiseConfig(fresh=fresh), latents, view, torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1, 0.0), drawn(2, 0.0))
    assert correlation(drawn(1, 0.36), drawn(2, 0.36)) == pytest.approx(0.64, abs=0.04)
    assert float(drawn(1, 0.36).var()) == pytest.approx(1.0, abs=0.06)


def test_independent_noise_looks_at_no_surface():
    latents = torch.zeros(1, 4, LATENTS, LATENTS)
    drawn = draw_noise(IndependentNoiseConfig(), latents, None, torch.Generator().manual_seed(4))
    assert torch.equal(drawn, elsewhere(4))


def test_a_step_without_a_surface_is_refused():
    with pytest.raises(GuidanceError, match="needs the points that the views show"):
        draw_noise(SurfaceNoiseConfig(), torch.zeros(1, 4, 8, 8), None, torch.Generator())


@pytest.mark.parametrize("fresh", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(fresh):
    with pytest.raises(ConfigError, match=r"noise\.fresh is"):
        SurfaceNoiseConfig(fresh=fresh)
