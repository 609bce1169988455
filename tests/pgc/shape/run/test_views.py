# SPDX-License-Identifier: Apache-2.0
"""A shape run by the loop: several pictures, each with its loss, become vertices."""

from dataclasses import replace

import pytest
import torch

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.csd import CSDConfig, CSDLoss
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.errors import ConfigError
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.optimization import distillation_loop
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.view_encoder import as_latents, latent_shape
from pgc.optimization.views.subject import Subject
from pgc.shape.geometry.dmtet import DMTet, DMTetConfig
from pgc.shape.geometry.regularizers import SurfacePenaltyConfig
from pgc.shape.geometry.vertex_offsets import VertexOffsets, VertexOffsetsConfig
from pgc.shape.rendering.renderer import RayRenderer
from pgc.shape.run.pictures import PictureConfig
from pgc.shape.run.scene import ShapeScene
from pgc.shape.run.views import ShapeViews
from tests.pgc.shape.meshes import ball, moving

CONFIG = OptimizeConfig(
    steps=30, views=2, resolution=40, learning_rate=0.02, distillation=SDSConfig(guidance_scale=1.0)
)
AXES = torch.tensor([0.45, 0.6, 0.75])
"""Of the ellipsoid that the oracle knows."""


def offsets() -> VertexOffsets:
    positions, faces = ball(2)
    return VertexOffsets(positions, faces, VertexOffsetsConfig(smoothness=5.0))


def dmtet() -> DMTet:
    config = DMTetConfig(cubes=12)
    grid = DMTet.grid_of(config)
    return DMTet(grid, grid.positions.norm(dim=1) - 0.6, config)


def begin(geometry=None, config=CONFIG, **scene) -> DistillationLoop:
    positions, faces = ball(2, 1.0)
    known = moving(positions * AXES, faces, torch.tensor([0.8, 0.4, 0.2]).expand(len(positions), 3).contiguous())
    scene = ShapeScene(
        geometry=geometry or offsets(),
        renderer=RayRenderer("cpu"),
        cameras=SphereCameraSampler(SphereSamplerConfig(focal=(0.9, 0.9), distance=(2.4, 2.4))),
        reference=known,
        **scene,
    )
    guidance = OracleGuidance(OracleConfig(image_size=40), torch.device("cpu"))
    views = ShapeViews(scene, guidance, Prompt(text=""), config)
    assert isinstance(views, Subject)
    return DistillationLoop(views, guidance, config)


def wrong(loop: DistillationLoop) -> float:
    """Mean distance of the vertices from the ellipsoid, near enough."""
    return ((loop.subject.learnt.mesh().positions / AXES).norm(dim=1) - 1.0).abs().mean().item() * 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "shown"), [(offsets, ("normal",)), (offsets, ("rgb",)), (dmtet, ("normal", "rgb")), (dmtet, ("normal",))]
)
def test_a_ball_becomes_what_the_oracle_knows(made, shown):
    loop = begin(made(), shown=shown)
    before = wrong(loop)
    results = list(loop.steps())
    assert len(results[0].image) == 2 * len(shown)
    assert len(results[0].timesteps) == 2 * len(shown)
    assert wrong(loop) < (0.5 if made is dmtet else 0.35) * before


def test_each_kind_of_picture_has_its_own_loss_and_draws():
    loop = begin(shown=("normal", "rgb"), losses={"normal": CSDConfig()})
    assert isinstance(loop.loss, SDSLoss)
    assert isinstance(loop.other_losses["normal"], CSDLoss)
    asked = []
    for name, loss in (("own", loop.loss), ("normal", loop.other_losses["normal"])):

        def record(*given, name=name, gradient=loss.gradient, **more):
            outcome = gradient(*given, **more)
            asked.append((name, outcome.timestep.tolist()))
            return outcome

        loss.gradient = record
    loop.advance()
    assert [name for name, _ in asked] == ["normal", "own"]
    assert asked[0][1] != asked[1][1]


def test_a_resumed_run_equals_one_in_a_go():
    whole = begin(config=replace(CONFIG, steps=4))
    list(whole.steps())
    first, second = begin(config=replace(CONFIG, steps=4)), begin(config=replace(CONFIG, steps=4))
    first.advance()
    first.advance()
    second.load_state_dict(*first.state_dict())
    list(second.steps())
    for mine, theirs in zip(whole.subject.learnt.parameters(), second.subject.learnt.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_later_updates_of_a_step_look_at_the_moved_shape():
    config = replace(CONFIG, updates=3, distillation=HiFAConfig(), learning_rate=0.02)
    loop = begin(config=config)
    before = loop.subject.learnt.mesh().positions.detach()
    loop.advance()
    once = begin(config=replace(config, updates=1))
    once.advance()
    moved = [(run.subject.learnt.mesh().positions - before).norm() for run in (loop, once)]
    assert moved[0] > 1.5 * moved[1]


def test_what_is_held_is_shown_in_place_of_the_shape():
    positions, faces = ball(2, 0.3)
    loop = begin(held=moving(positions, faces))
    view = loop.subject.draw(0, 0)
    (picture,) = loop.subject.pictures(view, Stopwatch(torch.device("cpu")))
    told = loop.subject.conditions(picture, None, step=0, progress=0.0)
    assert 0 < told.mask.sum() < 0.5 * view.gbuffer.mask.sum()


def test_weights_of_zero_cost_no_mesh_and_others_do(monkeypatch):
    plain = begin().subject
    monkeypatch.setattr(VertexOffsets, "mesh", lambda shape: pytest.fail("solved for nothing"))
    assert plain.penalty(0, 0.0) is None
    monkeypatch.undo()
    positions, faces = ball(1)
    rough = VertexOffsets(positions, faces, VertexOffsetsConfig(surface=SurfacePenaltyConfig(laplacian=1.0)))
    assert begin(rough).subject.penalty(0, 0.0) > 0.0
    assert begin(dmtet()).subject.penalty(0, 0.0) > 0.0


def test_a_run_that_shows_nothing_is_refused():
    with pytest.raises(ConfigError, match="expected one or both of normal, rgb"):
        begin(shown=())


def test_latents_that_a_picture_cannot_stand_for_are_refused():
    with pytest.raises(ConfigError, match="4 channels, and the latents of oracle have 3"):
        begin(shown=("normal",), pictures=PictureConfig(latents_until=0.5)).advance()
    hifa = replace(CONFIG, distillation=HiFAConfig())
    with pytest.raises(ConfigError, match="HiFAConfig compares pictures"):
        begin(config=hifa, shown=("normal",), pictures=PictureConfig(latents_until=0.5))
    with pytest.raises(ConfigError, match=r"pictures.latents_until is 1.5"):
        PictureConfig(latents_until=1.5)


def test_normals_and_outline_are_latents_with_their_gradient():
    """Through a teacher whose latents have four channels: what it wants of latents reaches the picture by means."""
    image = torch.rand((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    encoded = as_latents(image, _FourChannels(), latent_shape(_FourChannels()))
    slow = 2.0 * image.reshape(2, 4, 2, 4, 2, 4).mean(dim=(3, 5)) - 1.0
    torch.testing.assert_close(encoded.latents, slow)
    (gradient,) = torch.autograd.grad(encoded.latents.sum(), encoded.image)
    torch.testing.assert_close(gradient, torch.full_like(image, 2.0 / 16.0))


def test_the_form_of_latents_is_asked_for_once(monkeypatch):
    loop = begin(shown=("normal",), pictures=PictureConfig(latents_until=1.0))
    asked = []
    monkeypatch.setattr(distillation_loop, "latent_shape", lambda guidance: asked.append(1) or (4, 8, 8))
    monkeypatch.setattr(SDSLoss, "gradient", lambda *given, **more: pytest.fail("reached"), raising=True)
    for _ in range(2):
        with pytest.raises(pytest.fail.Exception, match="reached"):
            loop.advance()
    assert asked == [1]


class _FourChannels(OracleGuidance):
    """Latents of 2 x 2 pixels."""

    def __init__(self) -> None:
        super().__init__(OracleConfig(image_size=8), torch.device("cpu"))

    def encode_image(self, image, *, generator=None):
        return torch.zeros((len(image), 4, 2, 2))
