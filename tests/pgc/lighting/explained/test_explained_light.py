# SPDX-License-Identifier: Apache-2.0
"""The light that explains a picture: against a slow search, a known light, and what nobody can tell."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pgc.errors import ConfigError
from pgc.lighting.explained.fit import explain_light, light_design
from pgc.lighting.explained.pinning import LightPinning, PinningConfig
from pgc.lighting.explained.prior import LightPrior, LightPriorConfig, light_prior
from pgc.rendering.environment import random_environment
from pgc.rendering.harmonics import degrees, harmonic_environment, project_environment
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum
from pgc.rendering.tone_curve import picture_from_radiance

VIEWS, POINTS = 2, 80
PRIOR = LightPriorConfig(degree=3, brightness=0.8)


@pytest.fixture(scope="module")
def samples() -> SurfaceSamples:
    """Of two views, with as many points each: patches of paint and of metal."""
    generator = torch.Generator().manual_seed(3)
    count = VIEWS * POINTS
    view = F.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    normal = F.normalize(view + 0.6 * torch.randn(count, 3, generator=generator), dim=-1)
    normal = torch.where((normal * view).sum(-1, keepdim=True) < 0.1, view, normal)
    return SurfaceSamples(
        view_index=torch.arange(count) // POINTS,
        normal=normal,
        view=view,
        cosine=(normal * view).sum(dim=-1, keepdim=True),
        base_color=0.1 + 0.6 * torch.rand(count, 3, generator=generator),
        roughness=0.3 + 0.5 * torch.rand(count, 1, generator=generator),
        metallic=(torch.rand(count, 1, generator=generator) > 0.6).float(),
        occlusion=torch.ones(count, 1),
    )


@pytest.fixture(scope="module")
def prior() -> LightPrior:
    return light_prior(PRIOR)


def drawn(prior: LightPrior, seed: int) -> Tensor:
    """A plausible light for each view, not so uneven that it is negative somewhere."""
    generator = torch.Generator().manual_seed(seed)
    factor = torch.linalg.cholesky(torch.linalg.inv(prior.precision))
    noise = 0.4 * torch.randn(VIEWS, *prior.mean.shape, generator=generator)
    return prior.mean + torch.einsum("kce,vke->vkc", factor, noise)


def shown(samples: SurfaceSamples, light: Tensor) -> Tensor:
    return picture_from_radiance(torch.einsum("cpk,pkc->pc", light_design(samples, 3), light[samples.view_index]))


def test_the_design_is_the_shading(samples: SurfaceSamples, prior: LightPrior) -> None:
    light = drawn(prior, 1)
    fast = torch.einsum("cpk,pkc->pc", light_design(samples, 3), light[samples.view_index])
    slow = split_sum(samples, Light(environment=harmonic_environment("drawn", light, height=64)))
    torch.testing.assert_close(fast, slow, atol=0.01, rtol=0.0)


@pytest.mark.slow
def test_it_is_the_light_that_a_slow_search_ends_at(samples: SurfaceSamples, prior: LightPrior) -> None:
    noise, true = 0.02, drawn(prior, 2)
    wanted = shown(samples, true) + 0.1 * torch.randn(
        len(samples.normal), 3, generator=torch.Generator().manual_seed(4)
    )
    design = light_design(samples, 3)

    def objective(light: Tensor) -> Tensor:
        radiance = torch.einsum("cpk,pkc->pc", design, light[samples.view_index])
        off = light - prior.mean
        # Below the darkest radiance the curve goes on straight, as sRGB begins: less than black is not black.
        dark = radiance.clamp_min(2e-3)
        error = picture_from_radiance(dark) + 12.92 * (radiance - dark) - wanted
        return error.square().sum() / noise + torch.einsum("vkc,kce,vke->", off, prior.precision, off)

    found = prior.mean.repeat(VIEWS, 1, 1).contiguous().requires_grad_(True)
    search = torch.optim.LBFGS([found], max_iter=80, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def closure() -> Tensor:
        search.zero_grad()
        value = objective(found)
        value.backward()
        return value

    search.step(closure)
    fast = explain_light(samples, wanted, VIEWS, prior, noise=noise)
    least, reached = float(objective(found.detach())), float(objective(fast))
    assert reached <= 1.02 * least
    off = (fast - found.detach()).square().mean().sqrt() / (found.detach() - prior.mean).square().mean().sqrt()
    assert float(off) < 0.15


def test_a_light_is_found_again_where_the_material_is_known(samples: SurfaceSamples, prior: LightPrior) -> None:
    true = drawn(prior, 5)
    wanted = shown(samples, true)
    found = explain_light(samples, wanted, VIEWS, prior, noise=1e-4, rounds=6)
    before = float((shown(samples, prior.mean.expand_as(true)) - wanted).square().mean().sqrt())
    after = float((shown(samples, found) - wanted).square().mean().sqrt())
    assert after < 0.05 * before


def test_views_are_explained_each_by_itself(samples: SurfaceSamples, prior: LightPrior) -> None:
    wanted = shown(samples, drawn(prior, 6))
    both = explain_light(samples, wanted, VIEWS, prior, noise=0.01)
    second = samples.view_index == 1
    rows = {name: getattr(samples, name)[second] for name in SurfaceSamples.__dataclass_fields__}
    rows["view_index"] = torch.zeros_like(rows["view_index"])
    alone = explain_light(SurfaceSamples(**rows), wanted[second], 1, prior, noise=0.01)
    torch.testing.assert_close(both[1:], alone, atol=1e-3, rtol=1e-3)


def test_a_view_that_shows_nothing_has_the_plausible_light(samples: SurfaceSamples, prior: LightPrior) -> None:
    found = explain_light(samples, shown(samples, drawn(prior, 6)), VIEWS + 1, prior, noise=0.01)
    torch.testing.assert_close(found[VIEWS], prior.mean, atol=1e-3, rtol=1e-3)


def test_what_no_light_explains_bends_it_less_with_robust_weights(samples: SurfaceSamples, prior: LightPrior) -> None:
    true = drawn(prior, 7)
    wanted = shown(samples, true)
    spoilt = wanted.clone()
    spoilt[::12] = 1.0
    clean = explain_light(samples, wanted, VIEWS, prior, noise=0.003, rounds=5)
    plain, robust = (
        explain_light(samples, spoilt, VIEWS, prior, noise=0.003, rounds=5, robust=value) for value in (None, 0.1)
    )
    assert float((robust - clean).norm()) < 0.5 * float((plain - clean).norm())


@pytest.mark.slow
def test_the_prior_is_that_of_drawn_environments() -> None:
    config = LightPriorConfig(degree=4)
    prior = light_prior(config)
    variance = torch.linalg.inv(prior.precision)
    seeds = range(720_000, 720_024)
    lights = torch.stack([project_environment(random_environment(torch.Generator().manual_seed(s)), 4) for s in seeds])
    band = degrees(4)
    for degree in range(1, 5):
        gray = (lights.mean(dim=-1) - prior.mean.mean(dim=-1))[:, band == degree].square().mean()
        expected = variance[band == degree].mean(dim=0).mean()
        assert 0.4 < float(gray / expected) < 2.5, degree
    assert float(lights[:, 0].mean()) == pytest.approx(float(prior.mean[0, 0]), rel=0.01)
    assert float(lights[:, 2].mean()) == pytest.approx(float(prior.mean[2, 0]), abs=0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"degree": 0}, "from 1 to 10"),
        ({"degree": 11}, "from 1 to 10"),
        ({"brightness": 0.0}, "Got brightness 0.0"),
        ({"chroma": math.inf}, "Got chroma inf"),
    ],
)
def test_light_that_cannot_be_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LightPriorConfig(**change)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"share": 0.0}, "share of 0.0"), ({"degree": -1}, "degree -1"), ({"memory": 1.0}, "memory of 1.0")],
)
def test_pinning_that_cannot_be_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PinningConfig(**change)  # pyright: ignore[reportArgumentType]


def test_found_lights_are_the_plausible_one_on_average(prior: LightPrior) -> None:
    pinning = LightPinning(prior, PinningConfig(share=0.75, degree=1, memory=0.0))
    light = 0.3 * drawn(prior, 8) * torch.tensor([1.0, 0.8, 0.6])
    pinned = pinning.pin(light)
    torch.testing.assert_close(pinned.mean(dim=0)[:4], 0.75 * prior.mean[:4])
    # Shapes above the degree, and what views differ by, are scaled alone.
    scale = 0.75 * prior.mean[0] / light.mean(dim=0)[0]
    torch.testing.assert_close(pinned[:, 4:], light[:, 4:] * scale)
    torch.testing.assert_close(pinned[0] - pinned[1], (light[0] - light[1]) * scale)


def test_the_average_is_remembered_and_goes_on(prior: LightPrior) -> None:
    first = LightPinning(prior, PinningConfig(memory=0.9))
    assert first.state_dict() == {}
    first.pin(drawn(prior, 9))
    second = LightPinning(prior, PinningConfig(memory=0.9))
    second.load_state_dict(first.state_dict())
    light = drawn(prior, 10)
    torch.testing.assert_close(first.pin(light), second.pin(light))
    fresh = LightPinning(prior, PinningConfig(memory=0.9))
    assert not torch.allclose(fresh.pin(light), first.pin(light))
