# SPDX-License-Identifier: Apache-2.0
"""The same numbers on the device as on the CPU, part by part. Each function raises where they are not."""

from __future__ import annotations

from typing import Any

import torch
from stored_scene import StoredRasterizer, StoredScene
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.gradient_regulation.base import PixelNorm
from pgc.gradient_regulation.pixelwise_clipping import clip_gradient_pixelwise
from pgc.guidance.base import Conditions
from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleConfig, OracleGuidance, OracleNoise
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.optimization.view_encoder import backpropagate
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

__all__ = ["clipping", "loop", "nvdiffrast_rasterizer", "score_distillation", "texel_pyramid", "warp_rasterizer"]

_TEXTURE_SIZE = 256


def _difference(name: str, reference: Tensor, value: Tensor, limit: float) -> float:
    """Largest difference over the reference's largest magnitude.

    Raises:
        AssertionError: it is above `limit`, or the reference is all zero and so proves nothing.
    """
    scale = float(reference.abs().max())
    if not scale > 0:
        raise AssertionError(f"{name}: the reference is all zero, which proves nothing")
    difference = float((reference - value.detach().cpu().to(reference.dtype)).abs().max()) / scale
    if not difference <= limit:
        raise AssertionError(f"{name}: relative difference {difference:.3e} is above {limit:.1e}")
    return difference


def clipping(device: torch.device) -> dict[str, Any]:
    """PGC-N by both norms and in three precisions, infinities and NaN included."""
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(2, 3, 64, 64, generator=generator) * torch.randn(2, 1, 64, 64, generator=generator).exp()
    gradient[0, 0, 0, 0], gradient[0, 1, 1, 1] = torch.inf, torch.nan
    found: dict[str, Any] = {}
    norms: tuple[PixelNorm, ...] = ("l2", "linf")
    for norm in norms:
        for dtype, limit in ((torch.float32, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)):
            reference = clip_gradient_pixelwise(gradient.to(dtype), 0.1, norm).float()
            value = clip_gradient_pixelwise(gradient.to(device, dtype), 0.1, norm)
            found[f"{norm} {dtype}"] = _difference(f"clipping {norm} {dtype}", reference, value, limit)
    return {"relative_difference": found}


def texel_pyramid(scene: StoredScene, device: torch.device) -> dict[str, Any]:
    """The mip fetch, its gradients on every level, and the baked texture."""
    config = TexelPyramidConfig(texture_size=_TEXTURE_SIZE)
    outcomes = []
    for place in (torch.device("cpu"), device):
        field = TexelPyramid(scene.triangles, config, device=place)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
        field.set_progress(1.0)
        image = field.sample(surface_points(scene.gbuffer.to(place)))["base_color"]
        weight = torch.randn(image.shape, generator=generator).to(place)
        (image * weight).sum().backward()
        gradients = [p.grad.detach().cpu() for p in field.parameters() if p.grad is not None]
        outcomes.append((image.detach().cpu(), gradients, field.bake().maps["base_color"][0].cpu()))
    (image, gradients, baked), (other_image, other_gradients, other_baked) = outcomes
    if len(gradients) != len(other_gradients):
        raise AssertionError(f"gradients reach {len(gradients)} levels on the CPU and {len(other_gradients)} here")
    return {
        "image": _difference("mip fetch", image, other_image, 1e-5),
        "gradients": [
            _difference(f"gradient {at}", a, b, 1e-4)
            for at, (a, b) in enumerate(zip(gradients, other_gradients, strict=True))
            if bool(a.any())
        ],
        "baked": _difference("bake", baked, other_baked, 1e-5),
    }


def score_distillation(device: torch.device) -> dict[str, Any]:
    """SDS through a tiny UNet, ControlNet and autoencoder in float32, down to the clipped image gradient."""
    from random_models import random_guidance

    found: dict[str, Tensor] = {}
    reference = random_guidance("tiny", torch.device("cpu"), torch.float32)
    guidance = random_guidance("tiny", device, torch.float32)
    _copy_weights(reference, guidance)
    for name, prior in (("cpu", reference), ("device", guidance)):
        generator = torch.Generator().manual_seed(3)
        side = prior.image_size
        image = torch.rand(2, 3, side, side, generator=generator).to(prior.device).requires_grad_(True)
        depth = (1.5 + torch.rand(2, 1, side, side, generator=generator)).to(prior.device)
        conditions = Conditions(
            prompt=prior.encode_prompt(["a", "b"]),
            negative=prior.encode_prompt(["", ""], negative=True),
            depth=depth,
            mask=torch.ones_like(depth, dtype=torch.bool),
        )
        latents = prior.encode_image(image)
        outcome = SDSLoss(SDSConfig(guidance_scale=10.0)).gradient(
            latents.detach(), prior, conditions, progress=0.5, generator=generator
        )
        found[f"{name} latents"] = outcome.gradient.detach().cpu()
        gradient = backpropagate(image, latents, outcome.gradient)
        found[f"{name} image"] = clip_gradient_pixelwise(gradient, 0.1).detach().cpu()
    return {
        "latent_gradient": _difference("SDS gradient", found["cpu latents"], found["device latents"], 1e-3),
        "image_gradient": _difference("image gradient", found["cpu image"], found["device image"], 1e-3),
    }


def _copy_weights(source: Any, target: Any) -> None:
    """Random draws differ between devices, so the weights of one go to the other."""
    for part in ("unet", "vae"):
        getattr(target.model, part).load_state_dict(getattr(source.model, part).state_dict())
    for mine, theirs in zip(target.model.controls, source.model.controls, strict=True):
        mine.net.load_state_dict(theirs.net.state_dict())


def _run(scene: StoredScene, device: torch.device, steps: int) -> Tensor:
    """The texture after a few steps on the oracle with noise and the ugly encoder. float32, on the CPU."""
    truth = torch.rand(3, _TEXTURE_SIZE, _TEXTURE_SIZE, generator=torch.Generator().manual_seed(4))
    config = TexelPyramidConfig(texture_size=_TEXTURE_SIZE)
    reference = TexelPyramid(scene.triangles, config, initial=BakedTexture(maps={"base_color": [truth]}), device=device)
    reference.set_progress(1.0)
    texture = TexelPyramid(scene.triangles, config, device=device)
    size = scene.gbuffer.face_index.shape[-1]
    world = Scene(
        rasterizer=StoredRasterizer(scene, device),
        texture=texture,
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        reference=reference,
    )
    oracle = OracleConfig(image_size=size, encoder=ConvolutionEncoderConfig(), noise=OracleNoise())
    optimize = OptimizeConfig(steps=steps, views=2, resolution=size, learning_rate=0.02, seed=5)
    run = Optimization(world, OracleGuidance(oracle, device), Prompt(text=""), optimize)
    for _ in run.steps():
        pass
    return texture.bake().maps["base_color"][0].cpu()


def loop(scene: StoredScene, device: torch.device, steps: int) -> dict[str, Any]:
    """The whole loop. Adam divides by small second moments, so rounding grows: the limit is one 8-bit step or two."""
    reference = _run(scene, torch.device("cpu"), steps)
    first, second = _run(scene, device, steps), _run(scene, device, steps)
    difference = (first - reference).abs()
    if float(difference.mean()) > 1.0 / 255.0:
        raise AssertionError(f"textures differ by {float(difference.mean()):.4f} on average after {steps} steps")
    return {
        "steps": steps,
        "mean_difference": float(difference.mean()),
        "maximum_difference": float(difference.max()),
        "two_runs_equal": bool(torch.equal(first, second)),
        "moved": float((first - 0.5).abs().mean()),
    }


def warp_rasterizer(scene: StoredScene, device: torch.device) -> dict[str, Any]:
    """Where Warp is at hand: the stored views traced again on the device."""
    from pgc.rendering.raster.rasterizer import RasterizerConfig
    from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

    rasterizer = WarpRasterizer(scene.triangles, device=device, config=RasterizerConfig(cache_bytes=0))
    return _same_views(rasterizer, scene, device, 0.999)


def nvdiffrast_rasterizer(scene: StoredScene, device: torch.device) -> dict[str, Any]:
    """Where nvdiffrast is installed: the stored views drawn by it. It puts corners on a grid of a sixteenth of a pixel,
    so that more rays along edges fall to the other side than with Warp."""
    from pgc.rendering.raster.nvdiffrast_rasterizer import NvdiffrastRasterizer
    from pgc.rendering.raster.rasterizer import RasterizerConfig

    rasterizer = NvdiffrastRasterizer(scene.triangles, device=device, config=RasterizerConfig(cache_bytes=0))
    return _same_views(rasterizer, scene, device, 0.99)


def _same_views(rasterizer: Rasterizer, scene: StoredScene, device: torch.device, least: float) -> dict[str, Any]:
    """Compares the stored views with new ones, and times four of 1024 x 1024 (64 x 64 on the CPU).

    Raises:
        AssertionError: too few pixels see the triangle that they see on the CPU, or see it elsewhere.
    """
    import time

    from pgc.evaluation.views import fixed_views

    size, views = scene.gbuffer.face_index.shape[-1], len(scene.gbuffer)
    gbuffer = rasterizer.render(fixed_views()[:views], (size, size)).to("cpu")
    same = gbuffer.face_index == scene.gbuffer.face_index
    share = float(same.float().mean())
    if share < least:
        raise AssertionError(f"only {share:.4%} of the pixels see the triangle that they see on the CPU")
    apart = (gbuffer.uv - scene.gbuffer.uv).abs().amax(dim=1)[same]
    if float(apart.mean()) > 1e-4:
        raise AssertionError(f"pixels of the same triangle see uv that differ by {float(apart.mean()):.2e} on average")
    side = 64 if device.type == "cpu" else 1024
    seconds = 0.0
    for _ in range(2):  # the second time counts
        start = time.perf_counter()
        rasterizer.render(fixed_views()[:4], (side, side)).mask.sum().item()
        seconds = time.perf_counter() - start
    timed = {"views": 4, "side": side, "seconds": seconds}
    return {"same_triangle_share": share, "uv_difference": float(apart.mean()), **timed}
