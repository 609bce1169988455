# SPDX-License-Identifier: Apache-2.0
"""Explaining the light away: what a teacher wants of a picture, said again under the light that explains it.

A teacher that is not told the light answers with a picture under a light of its own. The residual between the render
and that picture is then light's as much as the material's. So the light is found under which the present material looks
most like the wanted picture (`pgc.lighting.explained`), the material is shown under that, and the residual is taken
there: what light can explain never enters the material.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.gradient_regulation.base import finite_pixels
from pgc.guidance.base import Guidance
from pgc.guidance.resizing import resize_bilinear
from pgc.lighting.explained.explaining import LightExplainer
from pgc.optimization.step_parts import Heard, Picture
from pgc.rendering.compositing import composite
from pgc.rendering.harmonics import harmonic_environment
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import pbr_shade, surface_samples

__all__ = ["low_frequencies", "under_found_light", "wanted_picture"]


@torch.no_grad()
def wanted_picture(
    outcome: LatentGradient, latents: Float[Tensor, "b k m n"], guidance: Guidance, side: int
) -> Float[Tensor, "b 3 h w"]:
    """Returns the clean picture that a teacher wants, sRGB, `side` pixels wide.

    The loss's own picture where it has one; else the decoded clean estimate ẑ = z − √((1 − ᾱ) / ᾱ) (ε̂ − ε), of the
    noise that the loss says it was asked with.
    """
    if outcome.image_target is not None:
        return resize_bilinear(outcome.image_target, side)
    alpha = guidance.alphas_cumprod[outcome.timestep].to(latents)[:, None, None, None]
    clean = latents - ((1.0 - alpha) / alpha).sqrt() * (outcome.noise_pred - outcome.noise)
    return resize_bilinear(guidance.decode_latents(clean), side)


def under_found_light(
    heard: Heard, wanted: Float[Tensor, "b 3 h w"], explainer: LightExplainer, generator: torch.Generator
) -> Heard:
    """Returns what was heard of a lit picture, as it is under the light that explains what is wanted.

    The residual keeps the size, view by view, that ∂L/∂x had. A found light takes with it what belongs to the whole
    surface: a paler one looks like one that is lit brighter. So base colour takes the low frequencies of the plain
    residual, which on average over lights is the material's alone, and the high ones of the other; all other maps learn
    under the found light.

    Args:
        heard: of a picture under a light of the run's drawing, with the gradient before regulation.
        wanted: the picture that the teacher wants of it.
        explainer: of the run.
        generator: draws which points the light is fitted to (on the CPU).
    """
    picture, feedback = heard.picture, heard.feedback
    light = picture.view.lights.render
    assert feedback is not None
    assert light is not None
    fitted = _fitted(picture, explainer.config.cells, generator)
    judged = ~fitted if explainer.config.cells else fitted
    found = _found(picture, wanted, light, explainer, generator, fitted)
    shown = _shown_under(found, picture, light)
    # A prior's or autoencoder's pixel without a number is lost by itself, not with all that is blurred over it.
    plain, lost_plain = finite_pixels(picture.image.detach() - wanted)
    residual, lost_shown = finite_pixels(shown.detach() - wanted)
    mask = picture.view.covered.to(plain)
    color = residual + low_frequencies((plain - residual) * mask, mask, explainer.config.blur)
    size = heard.gradient.flatten(1).norm(dim=1) / plain.flatten(1).norm(dim=1).clamp_min(1e-12)
    size = size[:, None, None, None]
    gradient, lost = finite_pixels(size * color)
    # Half of the squares stand for all.
    finish, lost_too = finite_pixels(size * residual * judged / judged.to(plain).mean())
    return Heard(
        picture=replace(picture, image=shown),
        feedback=replace(feedback, baseline_shift=finish - gradient),
        gradient=gradient,
        lost=lost | lost_too | lost_plain | lost_shown | heard.lost,
    )


def low_frequencies(
    image: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"], share: float
) -> Float[Tensor, "b c h w"]:
    """Returns the mean over a square around each pixel, of what the mask shows of it; 0 off the mask.

    `share`: of the square's side in the picture's; the side in pixels is odd, one at least.
    """
    side = 2 * int(0.5 * share * image.shape[-1]) + 1
    rows, columns = ((side, 1), (side // 2, 0)), ((1, side), (0, side // 2))
    total, count = image * mask, mask
    for kernel, padding in (rows, columns):
        total, count = (F.avg_pool2d(each, kernel, 1, padding) for each in (total, count))
    return mask * total / count.clamp_min(1e-6)


def _fitted(picture: Picture, cells: int, generator: torch.Generator) -> Bool[Tensor, "1 1 h w"]:
    """True on squares that the light is fitted to; another half in each step. All of them where there are no cells."""
    height, width = picture.image.shape[-2:]
    first = int(torch.randint(2, (1,), generator=generator))
    if not cells:
        return torch.ones((1, 1, height, width), dtype=torch.bool, device=picture.image.device)
    row, column = (torch.arange(side) * cells // side for side in (height, width))
    return (((row[:, None] + column[None] + first) % 2) > 0)[None, None].to(picture.image.device)


@torch.no_grad()
def _found(
    picture: Picture,
    wanted: Tensor,
    light: ViewedLight,
    explainer: LightExplainer,
    generator: torch.Generator,
    fitted: Bool[Tensor, "1 1 h w"],
) -> Float[Tensor, "b k 3"]:
    """The light of each view, fitted to pixels that show nothing but the surface."""
    gbuffer = picture.view.gbuffer
    whole = gbuffer.mask & (gbuffer.coverage >= 1.0) & fitted & wanted.isfinite().all(dim=1, keepdim=True)
    asked = explainer.some_of(whole, generator)
    samples = surface_samples(replace(gbuffer, mask=asked), picture.material, light.eye)
    return explainer.find(samples, wanted.permute(0, 2, 3, 1)[asked[:, 0]], len(wanted))


def _shown_under(found: Float[Tensor, "b k 3"], picture: Picture, light: ViewedLight) -> Float[Tensor, "b 3 h w"]:
    """The picture's material as it is under other light, on the graph."""
    view = picture.view
    degree = math.isqrt(found.shape[1]) - 1
    environment = harmonic_environment("the found light", found, height=max(16, 4 * degree))
    lit = pbr_shade(view.gbuffer, picture.material, ViewedLight(light=Light(environment=environment), eye=light.eye))
    return composite(lit, view.gbuffer.coverage, view.background)
