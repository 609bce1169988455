# SPDX-License-Identifier: Apache-2.0
"""A volume run by the loop: an oracle's pictures become a shape, a resumed run is the same, and what teachers are
told."""

from dataclasses import replace

import pytest
import torch

from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import CheckpointError, ConfigError
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.subject import Subject
from pgc.shape.rendering.renderer import RayRenderer
from pgc.volume.field import VolumeFieldConfig
from pgc.volume.light.marching import MarchConfig
from pgc.volume.light.penalties import VolumePenaltyConfig
from pgc.volume.light.shading import ShadingConfig
from pgc.volume.occupancy import OccupancyConfig
from pgc.volume.prepared import PreparedVolume, prepare_volume
from pgc.volume.settings import VolumeSettings
from pgc.volume.start import BallStart
from pgc.volume.views import DepthConfig, KnownShape
from pgc.volume.volume import VolumeConfig
from tests.pgc.shape.meshes import ball, moving

SIDE = 24
VOLUME = VolumeConfig(
    field=VolumeFieldConfig(grid_levels=4, coarsest_cells=4, finest_cells=24, rows=2048, hidden=16),
    occupancy=OccupancyConfig(cells=20),
    march=MarchConfig(step=0.08),
)
CONFIG = OptimizeConfig(
    steps=100, views=2, resolution=SIDE, learning_rate=0.1, epsilon=1e-8, distillation=SDSConfig(guidance_scale=1.0)
)
SETTINGS = VolumeSettings(
    volume=VOLUME,
    start=BallStart(radius=0.5),
    cameras=SphereSamplerConfig(focal=(0.9, 0.9), distance=(2.4, 2.4)),
    optimize=CONFIG,
)
AXES = torch.tensor([0.35, 0.5, 0.75])
"""Of the ellipsoid that the oracle knows."""
RED = torch.tensor([0.9, 0.2, 0.1])


def begin(settings: VolumeSettings = SETTINGS) -> PreparedVolume:
    positions, faces = ball(2, 1.0)
    known = KnownShape(
        mesh=moving(positions * AXES, faces, RED.expand(len(positions), 3).contiguous()), renderer=RayRenderer("cpu")
    )
    guidance = OracleGuidance(OracleConfig(image_size=SIDE), torch.device("cpu"))
    run = prepare_volume(guidance, Prompt(text=""), settings, known=known)
    assert isinstance(run.loop.subject, Subject)
    return run


@torch.no_grad()
def extent(run: PreparedVolume) -> torch.Tensor:
    """Root of the mean square of dense places, along each axis, over that of a ball of radius 1."""
    places = torch.rand((20_000, 3), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    dense = places[run.scene.volume.field.density_at(places) > 4.0]
    return dense.square().mean(dim=0).sqrt() * 5**0.5


@pytest.mark.slow
def test_a_ball_becomes_the_shape_and_colour_that_the_oracle_knows():
    run = begin()
    results = list(run.loop.steps())
    torch.testing.assert_close(extent(run), AXES, rtol=0.0, atol=0.08)
    view = run.loop.subject.draw(0, 0)
    image = run.loop.subject.pictures(view, Stopwatch(torch.device("cpu")))[0].image
    inside = image.movedim(1, -1)[view.gbuffer.mask[:, 0]].mean(dim=0).detach()
    torch.testing.assert_close(inside, RED, rtol=0.0, atol=0.1)
    assert results[-1].gradient is not None
    assert run.loop.regulation_summary()["clipped_fraction"] > 0.0


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one():
    settings = replace(SETTINGS, optimize=replace(CONFIG, steps=9))
    whole = begin(settings)
    for _ in whole.loop.steps():
        pass
    first = begin(settings)
    for _ in range(5):
        first.loop.advance()
    second = begin(settings)
    second.loop.load_state_dict(*first.loop.state_dict())
    for _ in second.loop.steps():
        pass
    for (name, one), other in zip(
        whole.scene.volume.state_dict().items(), second.scene.volume.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    with pytest.raises(CheckpointError, match="other settings"):
        begin(SETTINGS).loop.load_state_dict(*first.loop.state_dict())


def told(run: PreparedVolume, progress: float):
    subject = run.loop.subject
    view = subject.draw(0, 0)
    picture = subject.pictures(view, Stopwatch(torch.device("cpu")))[0]
    return view, subject.conditions(picture, None, step=0, progress=progress)


def test_depth_is_told_from_its_time_on_and_an_empty_picture_may_stand_for_none():
    later = begin(replace(SETTINGS, depth=DepthConfig(shown_from=0.5)))
    assert told(later, 0.4)[1].depth is None
    view, conditions = told(later, 0.5)
    assert torch.equal(conditions.depth, view.gbuffer.depth)
    assert conditions.mask.any()
    blank = begin(replace(SETTINGS, depth=DepthConfig(shown_from=0.5, blank=True)))
    conditions = told(blank, 0.4)[1]
    assert not conditions.mask.any()
    assert not conditions.depth.any()
    assert told(begin(), 0.9)[1].depth is None


def test_a_picture_carries_its_penalty_and_every_pixel_may_learn():
    run = begin(replace(SETTINGS, penalties=VolumePenaltyConfig(entropy=0.1)))
    subject = run.loop.subject
    view = subject.draw(0, 0)
    assert bool(view.covered.all())
    assert subject.penalty(0, 0.0) is None
    image = subject.pictures(view, Stopwatch(torch.device("cpu")))[0].image
    image.backward(torch.zeros_like(image))
    assert run.scene.volume.field.grid.grad is not None
    assert bool(run.scene.volume.field.grid.grad.any())
    # The second picture of a step is rendered anew, and is the same while nothing has been learnt.
    again = subject.pictures(view, Stopwatch(torch.device("cpu")))[0].image
    assert torch.equal(again, image)


def test_light_goes_back_to_density_by_normals():
    settings = replace(SETTINGS, shading=ShadingConfig(lit=1.0, plaster=1.0))
    guidance = OracleGuidance(OracleConfig(image_size=SIDE), torch.device("cpu"))
    run = prepare_volume(guidance, Prompt(text=""), settings)
    subject = run.loop.subject
    view = subject.draw(0, 0)
    image = subject.pictures(view, Stopwatch(torch.device("cpu")))[0].image
    inside = image.movedim(1, -1)[view.gbuffer.mask[:, 0]]
    assert float((inside.amax(dim=1) - inside.amin(dim=1)).detach().max()) < 0.5
    image.sum().backward()
    assert bool(run.scene.volume.field.grid.grad.any())


def test_early_pictures_are_normals_and_opacity_and_go_back_to_density():
    run = begin(replace(SETTINGS, latents_until=0.5))
    subject, watch = run.loop.subject, Stopwatch(torch.device("cpu"))
    subject.set_progress(0.4, 1.0)
    view = subject.draw(0, 0)
    (picture,) = subject.pictures(view, watch)
    assert picture.stands_for_latents
    normals, opacity = picture.image.detach().split([3, 1], dim=1)
    # A ball's middle faces the viewer; its left, as seen, faces left; beyond it nothing is there.
    middle = normals[:, :, SIDE // 2, SIDE // 2] / opacity[:, :, SIDE // 2, SIDE // 2]
    torch.testing.assert_close(middle, torch.tensor([[0.5, 0.5, 1.0]]).expand(2, 3), atol=0.2, rtol=0.0)
    shares = (normals / opacity.clamp_min(1e-3))[:, 0, SIDE // 2]
    seen = view.gbuffer.mask[:, 0, SIDE // 2]
    assert (shares[:, : SIDE // 2][seen[:, : SIDE // 2]].mean() < 0.45).all()
    assert (shares[:, SIDE // 2 :][seen[:, SIDE // 2 :]].mean() > 0.55).all()
    assert float(picture.image.detach()[:, :, 0, 0].abs().max()) < 0.05
    normals_alone = torch.autograd.grad(picture.image[:, :3].sum(), run.scene.volume.field.grid)[0]
    assert float(normals_alone.abs().max()) > 0.0
    subject.set_progress(0.5, 1.0)
    (picture,) = subject.pictures(subject.draw(1, 1), watch)
    assert (picture.stands_for_latents, picture.image.shape[1]) == (False, 3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="has no light"):
        begin(replace(SETTINGS, shading=ShadingConfig(lit=0.5)))
    with pytest.raises(ConfigError, match=r"shown_from is 2"):
        DepthConfig(shown_from=2.0)
    with pytest.raises(ConfigError, match="rendered up to 1024"):
        VolumeSettings(optimize=replace(CONFIG, resolution=2000))
    with pytest.raises(ConfigError, match="seed is -1"):
        VolumeSettings(optimize=replace(CONFIG, seed=-1))
