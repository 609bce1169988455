# SPDX-License-Identifier: Apache-2.0
"""Gradients that are not finite: counted, mended by a wider autoencoder, or the end of the run; and view by view."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import GuidanceError
from pgc.gradient_regulation.base import finite_pixels
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.finite_watch import MOST_SPOILT_IN_A_ROW, FiniteWatch
from pgc.optimization.loop import Optimization
from pgc.optimization.view_encoder import ViewEncoder
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.presets import RunSettings
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramidConfig

CPU = torch.device("cpu")


class OverflowingOracle(OracleGuidance):
    """An oracle whose autoencoder overflows in some pixels until it is made wider, or for ever."""

    def __init__(self, share: float, *, helps: bool = False) -> None:
        super().__init__(OracleConfig(), device=CPU)
        self.share, self.helps, self.asked = share, helps, 0

    def encode_image(self, image: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        rows = round(self.share * image.shape[-2])
        # As an overflow is: 0 · ∞ in the backward pass.
        scale = torch.ones_like(image)
        scale[:, :, :rows] = torch.inf
        return super().encode_image(torch.where(scale.isinf(), image + (image - image.detach()) * scale, image))

    def widen_autoencoder(self) -> bool:
        self.asked += 1
        if self.helps:
            self.share = 0.0
        return self.helps


@pytest.fixture
def begin(cube_obj):
    mesh = prepare_mesh(load_mesh(cube_obj))
    known = BakedTexture(maps={"base_color": [torch.full((3, 32, 32), 0.3)]}, tiles=(1001,))

    def start(guidance: OracleGuidance, steps: int = 30) -> Optimization:
        optimize = OptimizeConfig(
            steps=steps, views=2, resolution=32, learning_rate=0.1, distillation=SDSConfig(guidance_scale=1.0)
        )
        settings = RunSettings(optimize=optimize, texture=TexelPyramidConfig(texture_size=32))
        return start_optimization(mesh, Prompt(text="red"), settings, guidance, sources=SourceTextures(oracle=known))

    return start


def _is_finite(run: Optimization) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in run.state_dict()[0].values())


@pytest.mark.slow
def test_a_run_without_trouble_counts_nothing(begin) -> None:
    run = begin(OracleGuidance(OracleConfig(), device=CPU), steps=3)
    assert [result.gradient.non_finite_pixels for result in run.steps()] == [0, 0, 0]
    assert run.finite.summary() == {"steps": 0, "pixels": 0, "autoencoder_float32_after": None}
    assert run.finite.notes == ()


@pytest.mark.slow
def test_an_overflowing_autoencoder_goes_on_in_single_precision(begin) -> None:
    guidance = OverflowingOracle(0.5, helps=True)
    run = begin(guidance)
    lost = [result.gradient.non_finite_pixels for result in run.steps()]
    assert lost[0] >= 2 * 32 * 16
    assert lost[1:] == [0] * 29
    assert guidance.asked == 1
    assert run.finite.summary() == {"steps": 1, "pixels": lost[0], "autoencoder_float32_after": 1}
    (note,) = run.finite.notes
    assert "overflowed in step 1; it goes on in float32" in note
    assert _is_finite(run)


@pytest.mark.slow
def test_a_prior_that_teaches_nothing_ends_the_run_soon_and_with_a_sentence(begin) -> None:
    run = begin(OverflowingOracle(0.5), steps=400)
    with pytest.raises(
        GuidanceError, match=r"no finite gradient for \d+% .* 8 steps in a row up to step 8.*another model"
    ):
        for _ in run.steps():
            pass
    assert run.step == MOST_SPOILT_IN_A_ROW
    assert _is_finite(run), "what there is may be kept"


def test_stray_pixels_and_single_steps_do_no_harm() -> None:
    watch = FiniteWatch(OracleGuidance(OracleConfig(), device=CPU))
    for step in range(1, 97):
        # Nine bad steps in ten, but a good one in time; or one pixel in a thousand throughout.
        watch.after_step(step, 500 if step % MOST_SPOILT_IN_A_ROW else 1, 1000)
    assert watch.summary()["steps"] == 96
    for step in range(97, 96 + MOST_SPOILT_IN_A_ROW):
        watch.after_step(step, 11, 1000)
    with pytest.raises(GuidanceError):
        watch.after_step(96 + MOST_SPOILT_IN_A_ROW, 11, 1000)


@pytest.mark.slow
def test_a_target_in_the_image_that_is_not_finite_reaches_no_texel(begin, monkeypatch) -> None:
    run = begin(OracleGuidance(OracleConfig(), device=CPU), steps=3)
    hifa = HiFAConfig(guidance_scale=1.0, latent_weight=0.0, image_weight=1.0)
    run = Optimization(run.scene, run.guidance, run.prompt, replace(run.config, distillation=hifa, updates=2))
    decode = OracleGuidance.decode_latents

    def overflowing(self: OracleGuidance, latents: Tensor) -> Tensor:
        image = decode(self, latents)
        image[:, :, :4] = torch.nan
        return image

    monkeypatch.setattr(OracleGuidance, "decode_latents", overflowing)
    counts = [result.gradient.non_finite_pixels for result in run.steps()]
    assert min(counts) >= 2 * 32 * 2
    assert _is_finite(run)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_is_dropped_as_a_whole(bad: float) -> None:
    gradient = torch.ones(2, 3, 2, 2)
    gradient[1, 2, 0, 1] = bad
    kept, lost = finite_pixels(gradient)
    assert lost.sum() == 1
    assert bool(lost[1, 0, 0, 1])
    assert kept.sum() == 24 - 3


@pytest.fixture(scope="module")
def pocket():
    return load_guidance(PocketSpec(), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
def test_view_by_view_gives_the_same(pocket, loss_scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand((3, 3, 128, 128), generator=generator)
    wanted = torch.randn((3, *pocket.encode_image(image).shape[1:]), generator=generator)
    outcomes: list[tuple[Tensor, ...]] = []
    for view_by_view in (False, True):
        encoder = ViewEncoder(
            guidance=pocket,
            loss_scale=loss_scale,
            needs_gradient=True,
            view_by_view=view_by_view,
        )
        encoded = encoder.encode(image)
        assert encoded.latents.requires_grad != view_by_view, "no graph is held between"
        outcomes.append((encoded.latents.detach(), encoder.propagate(encoded, wanted)))
    for at_once, one_by_one in zip(*outcomes, strict=True):
        # The CPU's kernels order the sums of a batch by its size: the last bits differ.
        torch.testing.assert_close(at_once, one_by_one, rtol=1e-4, atol=1e-6)
    assert float(outcomes[0][1].abs().max()) > 0.0


def test_without_a_gradient_on_the_latents_none_goes_through_the_encoder(pocket) -> None:
    encoder = ViewEncoder(guidance=pocket, loss_scale=1.0, needs_gradient=False)
    encoded = encoder.encode(torch.rand(1, 3, 64, 64, requires_grad=True))
    assert not encoded.latents.requires_grad
    assert not encoder.propagate(encoded, torch.ones_like(encoded.latents)).any()


@pytest.mark.slow
def test_the_autoencoder_of_a_diffusion_model_can_be_widened_once() -> None:
    from pgc.guidance.base import HalfPrecisionAutoencoder
    from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig

    guidance = load_guidance(PocketSpec(run=LatentDiffusionConfig(vae_dtype="bfloat16")), CPU)
    assert isinstance(guidance, HalfPrecisionAutoencoder)
    assert guidance.widen_autoencoder()
    assert not guidance.widen_autoencoder()
    assert torch.isfinite(guidance.encode_image(torch.rand(1, 3, 32, 32))).all()
