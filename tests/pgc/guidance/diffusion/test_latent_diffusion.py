# SPDX-License-Identifier: Apache-2.0
"""Depth pictures, precision settings, and what every latent diffusion guidance does with images and noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import Conditions
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig, resolve_dtype, weights_dtypes
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
from pgc.guidance.specs import StableDiffusionSpec, load_guidance

CPU = torch.device("cpu")
Scene = Callable[..., Conditions]


def load(folder: Path, **run: object) -> StableDiffusionGuidance:
    spec = StableDiffusionSpec(
        source=str(folder),
        controlnet=str(folder / "controlnet"),
        run=LatentDiffusionConfig(**run),  # type: ignore[arg-type]
    )
    guidance = load_guidance(spec, CPU)
    assert isinstance(guidance, StableDiffusionGuidance)
    return guidance


@pytest.fixture(scope="module")
def guidance(sd15_folder: Path) -> StableDiffusionGuidance:
    return load(sd15_folder)


def images(seed: int, size: int = 32) -> torch.Tensor:
    return torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(seed))


def noisy(seed: int = 5) -> torch.Tensor:
    return torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def test_depth_image_is_near_white_on_black() -> None:
    depth = torch.tensor([[[[1.0, 2.0, 4.0, 0.0]]], [[[3.0, 3.0, 3.0, 0.0]]], [[[0.0, 0.0, 0.0, 0.0]]]])
    picture = depth_image(depth, depth > 0)
    assert picture.shape == (3, 3, 1, 4)
    # 1/z = 1, .5, .25 over [.25, 1], stretched onto [.2, 1].
    assert torch.allclose(picture[0, 0, 0], torch.tensor([1.0, 0.2 + 0.8 / 3, 0.2, 0.0]), atol=1e-6)
    assert picture[1, 0, 0].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert not picture[2].any()


@pytest.mark.slow
def test_image_latents_are_the_scaled_mean_of_the_posterior(guidance: StableDiffusionGuidance) -> None:
    image = images(0)
    vae: Any = guidance._model.vae
    expected = vae.encode(2 * image - 1).latent_dist.mean * 0.2
    latents = guidance.encode_image(image)
    assert latents.shape == (2, 4, 8, 8)
    assert torch.allclose(latents, expected, atol=1e-6)
    decoded = guidance.decode_latents(latents)
    assert torch.allclose(decoded, (vae.decode(expected / 0.2).sample / 2 + 0.5).clamp(0, 1), atol=1e-5)
    assert not decoded.requires_grad


def test_posterior_is_sampled_with_a_generator(guidance: StableDiffusionGuidance) -> None:
    image = images(0)
    vae: Any = guidance._model.vae
    posterior = vae.encode(2 * image - 1).latent_dist
    first, again = (guidance.encode_image(image, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert torch.allclose(first, (posterior.mean + posterior.std * noise) * 0.2, atol=1e-6)


def test_gradients_reach_every_pixel_of_a_larger_render(guidance: StableDiffusionGuidance) -> None:
    image = images(0, size=96).requires_grad_(True)
    (gradient,) = torch.autograd.grad(guidance.encode_image(image).square().sum(), image)
    assert (gradient.abs().amax(dim=1) > 0).all()


def test_gradient_agrees_with_finite_differences(guidance: StableDiffusionGuidance) -> None:
    image = images(1).requires_grad_(True)
    push = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(guidance.encode_image(image), image, push)
    direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(4))
    step = 1e-3
    with torch.no_grad():
        ahead = (guidance.encode_image(image + step * direction) * push).sum()
        behind = (guidance.encode_image(image - step * direction) * push).sum()
    assert (gradient * direction).sum().item() == pytest.approx((ahead - behind).item() / (2 * step), rel=2e-2)


def test_weights_are_frozen(guidance: StableDiffusionGuidance) -> None:
    parts = guidance._model.components
    (control,) = guidance._model.controls
    for part in (parts.vae, parts.unet, *parts.text_encoders, control.net):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


@pytest.mark.slow
def test_one_forward_and_two_agree(sd15_folder: Path, guidance: StableDiffusionGuidance, scene: Scene) -> None:
    timestep = torch.tensor([40, 700])
    conditions = scene(guidance)
    at_once = guidance.predict_noise(noisy(), timestep, conditions)
    in_turn = load(sd15_folder, sequential_guidance=True).predict_noise(noisy(), timestep, conditions)
    assert torch.allclose(at_once.cond, in_turn.cond, atol=1e-5)
    assert torch.allclose(at_once.uncond, in_turn.uncond, atol=1e-5)
    assert not torch.allclose(at_once.cond, at_once.uncond, atol=1e-4)
    swapped = guidance.predict_noise(
        noisy(),
        timestep,
        Conditions(
            prompt=conditions.negative, negative=conditions.prompt, depth=conditions.depth, mask=conditions.mask
        ),
    )
    assert torch.allclose(swapped.uncond, at_once.cond, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "sequential", "sizes"), [
    (None, False, [4]), (4, False, [4]), (3, False, [2, 2]), (1, False, [1] * 4), (1, True, [1] * 4), (8, True, [2, 2]),
])  # fmt: skip
def test_the_network_is_asked_about_no_more_rows_at_once(
    sd15_folder: Path, guidance: StableDiffusionGuidance, scene: Scene, rows: int | None, sequential: bool, sizes
) -> None:
    timestep, conditions = torch.tensor([40, 700]), scene(guidance)
    expected = guidance.predict_noise(noisy(), timestep, conditions)
    few = load(sd15_folder, sequential_guidance=sequential, memory=MemorySavings(rows=rows))
    asked: list[int] = []
    few._model.unet.register_forward_pre_hook(lambda module, args: asked.append(len(args[0])))
    found = few.predict_noise(noisy(), timestep, conditions)
    assert asked == sizes
    assert torch.allclose(found.cond, expected.cond, atol=1e-5)
    assert torch.allclose(found.uncond, expected.uncond, atol=1e-5)
    latents = few.encode_image(images(0))
    assert torch.allclose(few.decode_latents(latents), guidance.decode_latents(latents), atol=1e-5)


def test_rows_are_at_least_one() -> None:
    with pytest.raises(ConfigError, match="rows is 0; it must be 1 or more"):
        MemorySavings(rows=0)


@pytest.mark.slow
def test_depth_control_matters_and_scales(sd15_folder: Path, guidance: StableDiffusionGuidance, scene: Scene) -> None:
    timestep = torch.tensor([40, 700])
    free = guidance.predict_noise(noisy(), timestep, scene(guidance, depth=False))
    bound = guidance.predict_noise(noisy(), timestep, scene(guidance))
    off = load(sd15_folder, control_scale=0.0).predict_noise(noisy(), timestep, scene(guidance))
    assert (bound.cond - free.cond).abs().max() > 1e-2
    assert torch.allclose(off.cond, free.cond, atol=1e-5)


@pytest.mark.slow
def test_bfloat16_arithmetic_stays_near_float32(
    sd15_folder: Path, guidance: StableDiffusionGuidance, scene: Scene
) -> None:
    """The options' descriptions promise about 1 % of ε and 2 % of the image gradient; random weights are harder."""
    quick = load(sd15_folder, dtype="bfloat16", vae_dtype="bfloat16")
    timestep = torch.tensor([40, 700])
    exact = guidance.predict_noise(noisy(), timestep, scene(guidance)).cond
    rounded = quick.predict_noise(noisy(), timestep, scene(guidance)).cond
    assert rounded.dtype == torch.float32
    error = ((rounded - exact).square().mean() / exact.square().mean()).sqrt().item()
    assert 0.0 < error < 0.02

    def gradient(model: StableDiffusionGuidance) -> torch.Tensor:
        image = images(1).requires_grad_(True)
        latents = model.encode_image(image)
        assert latents.dtype == torch.float32
        push = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
        return torch.autograd.grad(latents, image, push)[0]

    reference = gradient(guidance)
    error = ((gradient(quick) - reference).square().mean() / reference.square().mean()).sqrt().item()
    assert 0.0 < error < 0.05


def test_prompts_and_depth_must_fit_the_batch(guidance: StableDiffusionGuidance, scene: Scene) -> None:
    conditions = scene(guidance)
    one = torch.tensor([5])
    with pytest.raises(GuidanceError, match="2 prompts for 1 latents"):
        guidance.predict_noise(noisy()[:1], one, conditions)
    assert conditions.depth is not None
    assert conditions.mask is not None
    few = Conditions(
        prompt=conditions.prompt, negative=conditions.negative, depth=conditions.depth[:1], mask=conditions.mask[:1]
    )
    with pytest.raises(GuidanceError, match="1 depth images for 2 latents"):
        guidance.predict_noise(noisy(), torch.tensor([5, 5]), few)


@pytest.mark.parametrize("size", [32, 64])
def test_image_size_is_the_models_own_or_as_asked(sd15_folder: Path, size: int) -> None:
    guidance = load(sd15_folder, image_size=None if size == 32 else size)
    assert guidance.image_size == size
    assert guidance.encode_image(images(0)).shape[-1] == size // 4


@pytest.mark.slow
def test_dtypes_follow_the_device(sd15_folder: Path) -> None:
    auto, cuda = LatentDiffusionConfig(), torch.device("cuda")
    single, half, brain = torch.float32, torch.float16, torch.bfloat16
    assert weights_dtypes(auto, CPU) == (single, single)
    assert weights_dtypes(auto, cuda) == weights_dtypes(auto, torch.device("mps")) == (half, half)
    assert weights_dtypes(LatentDiffusionConfig(dtype="bfloat16"), CPU) == (brain, single)
    assert weights_dtypes(LatentDiffusionConfig(dtype="bfloat16"), cuda) == (brain, brain)
    assert weights_dtypes(LatentDiffusionConfig(vae_dtype="float32"), cuda) == (half, single)
    assert resolve_dtype("float16", single) == half
    mixed = load(sd15_folder, dtype="bfloat16")
    assert (mixed.dtype, mixed._model.vae.dtype) == (brain, single)
    assert mixed.encode_prompt(["red"]).hidden_states.dtype == brain


def test_bad_settings_are_refused(sd15_folder: Path) -> None:
    with pytest.raises(ConfigError, match="control_scale"):
        LatentDiffusionConfig(control_scale=-0.1)
    with pytest.raises(ConfigError, match="image_size"):
        LatentDiffusionConfig(image_size=100)
    with pytest.raises(ConfigError, match="float16, which is slow"):
        load(sd15_folder, dtype="float16")
    with pytest.raises(ConfigError, match="float16, which is slow"):
        load(sd15_folder, vae_dtype="float16")
