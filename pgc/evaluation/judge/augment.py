# SPDX-License-Identifier: Apache-2.0
"""What distilled textures do to a picture and clean renders do not: blur, speckle, blotches, off colours."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate

__all__ = ["augment"]

_BACKDROP = 0.5


def augment(inputs: Float[Tensor, "b 4 s s"], generator: torch.Generator) -> Float[Tensor, "b 4 s s"]:
    """Makes a fresh variation of each of the judge's inputs; labels stay true.

    Geometry (mirror, turn, zoom), then blur, then colour (hue within 5 degrees, saturation, gain, gamma), then
    blotches of 4 to 24 pixels and pixel-wise speckle, both in colour. Everything on the object only.
    """
    moved = _move(inputs, generator)
    alpha = moved[:, 3:]
    image = _blur(moved[:, :3], generator)
    image = _recolor(image, generator)
    image = image + _blotches(image, generator) + _speckle(image, generator)
    image = alpha * image.clamp(0.0, 1.0) + (1.0 - alpha) * _BACKDROP
    return torch.cat([image, alpha], dim=1)


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Float[Tensor, "b 1 1 1"]:
    return low + (high - low) * torch.rand((batch, 1, 1, 1), generator=generator)


def _sometimes(batch: int, share: float, generator: torch.Generator) -> Float[Tensor, "b 1 1 1"]:
    return (torch.rand((batch, 1, 1, 1), generator=generator) < share).float()


def _move(inputs: Float[Tensor, "b 4 s s"], generator: torch.Generator) -> Float[Tensor, "b 4 s s"]:
    batch = inputs.shape[0]
    angle = _uniform(batch, -0.3, 0.3, generator).flatten()
    zoom = _uniform(batch, 0.85, 1.25, generator).flatten()
    mirror = 1.0 - 2.0 * _sometimes(batch, 0.5, generator).flatten()
    shift = 0.06 * (2.0 * torch.rand((batch, 2), generator=generator) - 1.0)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], dim=1).view(batch, 2, 3)
    grid = affine_grid(theta, list(inputs.shape), align_corners=False)
    # The backdrop is moved to 0, which is what lies outside the picture.
    offset = torch.tensor([_BACKDROP, _BACKDROP, _BACKDROP, 0.0]).view(1, 4, 1, 1)
    return grid_sample(inputs - offset, grid, padding_mode="zeros", align_corners=False) + offset


def _blur(image: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    """Each picture by its own Gaussian of 0 to 1.6 pixels (nearly none for half of them)."""
    batch = image.shape[0]
    sigma = (_uniform(batch, 0.0, 1.6, generator) * _sometimes(batch, 0.6, generator)).clamp_min(0.05).view(batch, 1)
    taps = torch.arange(-4, 5)
    weight = torch.exp(-0.5 * (taps / sigma) ** 2)
    weight = (weight / weight.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = image.reshape(1, batch * 3, *image.shape[-2:])
    flat = conv2d(flat, weight[:, None, :, None], padding=(4, 0), groups=batch * 3)
    return conv2d(flat, weight[:, None, None, :], padding=(0, 4), groups=batch * 3).view_as(image)


def _recolor(image: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    batch = image.shape[0]
    luma = (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    # Hue: a turn about the gray axis.
    angle = _uniform(batch, -math.radians(5), math.radians(5), generator)
    axis = (torch.roll(image, 1, dims=1) - torch.roll(image, -1, dims=1)) / math.sqrt(3.0)
    mean = image.mean(dim=1, keepdim=True)
    image = mean + (image - mean) * angle.cos() + axis * angle.sin()
    image = luma + (image - luma) * _uniform(batch, 0.8, 1.3, generator)
    image = image * _uniform(batch, 0.82, 1.12, generator) + _uniform(batch, -0.03, 0.05, generator)
    tint = 0.02 * torch.randn((batch, 3, 1, 1), generator=generator)
    return (image + tint).clamp(1e-4, 1.0) ** _uniform(batch, 0.85, 1.2, generator)


def _blotches(image: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    batch, _, size, _ = image.shape
    strength = _uniform(batch, 0.0, 0.11, generator) * _sometimes(batch, 0.6, generator)
    cells = int(torch.randint(size // 24, size // 4 + 1, (1,), generator=generator))
    noise = torch.randn((batch, 3, cells, cells), generator=generator)
    # Half luma, half colour: distillation errs in both.
    noise = 0.7 * noise + 0.7 * noise.mean(dim=1, keepdim=True)
    return strength * interpolate(noise, (size, size), mode="bicubic", align_corners=False)


def _speckle(image: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    batch = image.shape[0]
    strength = _uniform(batch, 0.0, 0.12, generator) * _sometimes(batch, 0.5, generator)
    return strength * torch.randn(image.shape, generator=generator)
