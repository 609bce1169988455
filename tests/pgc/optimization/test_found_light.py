# SPDX-License-Identifier: Apache-2.0
"""Explaining the light away in the loop: what the found light takes, what it leaves, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.evaluation.materials.config import MaterialCase, MaterialSuiteConfig
from pgc.evaluation.materials.suite import MaterialWorld
from pgc.lighting.explained.explaining import ExplainedLightConfig, LightExplainer
from pgc.lighting.explained.fit import explain_light
from pgc.lighting.explained.prior import LightPriorConfig
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.loop import Optimization
from pgc.optimization.step_parts import Heard
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.found_light import low_frequencies, under_found_light, wanted_picture
from pgc.rendering.harmonics import harmonic_environment
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import surface_samples
from pgc.rendering.shading import unlit

TINY = MaterialSuiteConfig(
    meshes=(7,), materials=("two_plastics",), environments=1, steps=4, views=2, resolution=24, texture_size=16,
    camera_pool=4, noise=None, explained_light=ExplainedLightConfig(points=120),
)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[MaterialWorld]:
    """Lit by two environments that cost nothing to blur."""
    lights = torch.zeros(2, 4, 3)
    lights[:, 0], lights[0, 1], lights[1, 2] = 2.0, 1.0, 1.0
    few = tuple(harmonic_environment("tiny", light[None], height=16) for light in lights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgc.evaluation.materials.suite.training_environments", lambda: few)
        yield MaterialWorld.build(TINY, 7, "two_plastics")


def start(world: MaterialWorld) -> Optimization:
    return world.optimization(MaterialCase(mesh=7, material="two_plastics", light="explained", noise=False))


def plainly_heard(run: Optimization) -> Heard:
    """What a first step hears before any light is looked for."""
    run.explainer = None
    watch = Stopwatch(torch.device("cpu"))
    (picture,) = run.subject.pictures(run.subject.draw(0, 0), watch)
    return run._hear(picture, watch)


def wanted_of(run: Optimization, heard: Heard) -> Tensor:
    assert heard.feedback is not None
    assert heard.feedback.latents is not None
    return wanted_picture(heard.feedback.outcome, heard.feedback.latents, run.guidance, heard.picture.image.shape[-1])


@pytest.mark.slow
def test_the_wanted_picture_is_what_the_oracle_knows(world: MaterialWorld) -> None:
    run = start(world)
    heard = plainly_heard(run)
    known = run.subject.reference(heard.picture)
    assert known is not None
    torch.testing.assert_close(wanted_of(run, heard), known.clamp(0.0, 1.0), atol=1e-4, rtol=0.0)


@pytest.mark.slow
def test_what_a_light_explains_asks_nothing_of_the_finishes(world: MaterialWorld) -> None:
    """Wanted is the present material itself under other light: the plain residual is large, that under the found light
    next to nothing, and base colour is asked for low frequencies alone."""
    run = start(world)
    heard = plainly_heard(run)
    view = heard.picture.view
    assert view.lights.render is not None
    coefficients = torch.zeros(2, 9, 3)
    coefficients[:, 0], coefficients[0, 2], coefficients[1, 3] = 1.6, 0.5, -0.4
    other = Light(environment=harmonic_environment("other", coefficients))
    with torch.no_grad():
        wanted = run.views._shade(view, heard.picture.material, ViewedLight(light=other, eye=view.lights.render.eye))
    config = ExplainedLightConfig(prior=LightPriorConfig(degree=2), noise=1e-4, points=10_000, robust=None)
    explainer = LightExplainer(config)
    again = under_found_light(heard, wanted, explainer, torch.Generator().manual_seed(0))
    assert again.feedback is not None
    assert again.feedback.baseline_shift is not None
    finish = again.gradient + again.feedback.baseline_shift
    assert float(finish.norm()) < 0.1 * float(heard.gradient.norm())
    assert float(again.gradient.norm()) > 3.0 * float(finish.norm())
    assert explainer.average is not None
    torch.testing.assert_close(explainer.average, coefficients.mean(dim=0), atol=0.1, rtol=0.0)


@pytest.mark.slow
def test_a_pixel_without_a_number_is_lost_by_itself(world: MaterialWorld) -> None:
    run = start(world)
    heard = plainly_heard(run)
    wanted = wanted_of(run, heard)
    broken = wanted.clone()
    broken[0, :, 8:14, 8:14] = float("nan")
    broken[1, 0, 12, 12] = float("inf")
    explainer = LightExplainer(ExplainedLightConfig(points=10_000))
    again = under_found_light(heard, broken, explainer, torch.Generator().manual_seed(0))
    assert again.feedback is not None
    assert again.feedback.baseline_shift is not None
    assert again.gradient.isfinite().all()
    assert again.feedback.baseline_shift.isfinite().all()
    assert explainer.average is not None
    assert explainer.average.isfinite().all()
    assert torch.equal(again.lost, ~broken.isfinite().all(dim=1, keepdim=True) | heard.lost)
    assert again.gradient[0].any()


@pytest.mark.slow
def test_all_points_give_the_light_of_the_regression(world: MaterialWorld) -> None:
    run = start(world)
    heard = plainly_heard(run)
    wanted, light = wanted_of(run, heard), heard.picture.view.lights.render
    assert light is not None
    gbuffer = heard.picture.view.gbuffer
    with torch.no_grad():
        samples = surface_samples(gbuffer, heard.picture.material, light.eye)
    rows = wanted.permute(0, 2, 3, 1)[gbuffer.mask[:, 0]]
    explainer = LightExplainer(ExplainedLightConfig(points=10_000))
    assert torch.equal(explainer.some_of(gbuffer.mask, torch.Generator().manual_seed(0)), gbuffer.mask)
    found = explainer.find(samples, rows, 2)
    slow = explain_light(samples, rows, 2, explainer.prior, noise=explainer.config.noise, robust=0.15)
    assert torch.equal(found, slow)
    few = LightExplainer(ExplainedLightConfig(points=60))
    some = few.some_of(gbuffer.mask, torch.Generator().manual_seed(0))
    assert not (some & ~gbuffer.mask).any()
    assert 80 < int(some.sum()) < 160


@pytest.mark.slow
def test_finishes_learn_on_half_of_the_squares_and_colour_on_all(world: MaterialWorld) -> None:
    """Each step on those that the light was not fitted to; and the first picture has no graph that nobody walks."""
    run = start(world)
    heard = plainly_heard(run)
    assert not heard.picture.image.requires_grad
    wanted, covered = wanted_of(run, heard) * 0.7, heard.picture.view.covered[:, 0]
    asked = []
    for seed in range(6):
        explainer, draw = LightExplainer(ExplainedLightConfig()), torch.Generator().manual_seed(seed)
        again = under_found_light(heard, wanted, explainer, draw)
        assert again.picture.image.requires_grad
        assert again.feedback is not None
        assert again.feedback.baseline_shift is not None
        finish = again.gradient + again.feedback.baseline_shift
        asked.append((finish.abs() > 1e-9).any(dim=1) & covered)
        assert torch.equal(again.gradient.any(dim=1) & covered, covered)
    assert all(0.3 < float(one.sum() / covered.sum()) < 0.7 for one in asked)
    assert torch.equal(torch.stack(asked).any(dim=0), covered)


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one_byte_for_byte(world: MaterialWorld) -> None:
    whole, first, second = start(world), start(world), start(world)
    for run, until in ((whole, 4), (first, 2)):
        while run.step < until:
            run.advance()
    second.load_state_dict(*first.state_dict())
    while second.step < 4:
        second.advance()
    tensors, _ = whole.state_dict()
    again, _ = second.state_dict()
    assert "explained.average" in tensors
    assert tensors.keys() == again.keys()
    assert all(torch.equal(value, again[key]) for key, value in tensors.items())
    assert whole.explainer is not None
    summary = whole.explainer.summary()
    assert len(summary["coefficients"]) == 25
    assert all(value > 0.1 for value in summary["mean_color"])


def test_low_frequencies_against_loops() -> None:
    generator = torch.Generator().manual_seed(3)
    image, mask = torch.rand(1, 1, 9, 9, generator=generator), torch.rand(1, 1, 9, 9, generator=generator).round()
    found = low_frequencies(image, mask, 0.6)
    for row in range(9):
        for column in range(9):
            near = (..., slice(max(0, row - 2), row + 3), slice(max(0, column - 2), column + 3))
            inside = mask[near] > 0
            expected = image[near][inside].mean() if float(mask[0, 0, row, column]) else 0.0
            assert float(found[0, 0, row, column]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"noise": 0.0}, "noise of 0.0"),
        ({"robust": -1.0}, "robust -1.0"),
        ({"points": 0}, "0 points"),
        ({"blur": 0.0}, "blur of 0.0"),
    ],
)
def test_bad_settings_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ExplainedLightConfig(**values)
    with pytest.raises(TypeError, match="brightnes"):
        ExplainedLightConfig(**{"brightnes": 1.0})


def test_what_cannot_be_explained_is_refused_before_work(world: MaterialWorld) -> None:
    with pytest.raises(ConfigError, match="updates is 2, and explained_light"):
        OptimizeConfig(updates=2, explained_light=ExplainedLightConfig())
    with pytest.raises(ConfigError, match=r"likeness_scale is 0\.5, and explained_light"):
        OptimizeConfig(likeness_scale=0.5, explained_light=ExplainedLightConfig())
    run = start(world)
    with pytest.raises(ConfigError, match="this run with the reconstruction"):
        Optimization(replace(run.scene, baseline="reconstruction"), run.guidance, run.prompt, run.config)
    with pytest.raises(ConfigError, match="this run's are not lit"):
        Optimization(replace(run.scene, shade=unlit, lighting=None), run.guidance, run.prompt, run.config)


def test_runs_of_earlier_versions_keep_their_fingerprint() -> None:
    plain = OptimizeConfig()
    assert "explained_light" not in plain.known_settings()
    assert replace(plain, explained_light=ExplainedLightConfig()).fingerprint() != plain.fingerprint()
