# SPDX-License-Identifier: Apache-2.0
"""What published ControlNets for light are shown, from known materials under the light of a picture.

FlashTex (Deng et al., "Fast Relightable Mesh Texturing with LightControlNet", ECCV 2024), for Stable Diffusion 1.5:
three channels, the red of three white surfaces, as its `produce_cond_img` draws them: chalk (metallic 0, roughness 1),
half metal (0.5, 0.5), a mirror (1, 0). Linear radiance from 0 to 1; the background is black.

DreamMat (Zhang et al., "DreamMat: High-quality PBR Material Generation with Geometry- and Light-aware Diffusion
Models", 2024), for Stable Diffusion 2.1: 22 channels. Depth, as a disparity that is stretched from 0.3 (far) to 1
(near), background 0. Normals in the camera's axes as `normal_image` draws them, but the background is black. Then six
white surfaces, three channels each: metallic 0 with roughness 0, 0.5, 1, and metallic 1 with the same, through
Blender's *Filmic* curve.

What differs from theirs: our smooth surfaces have the least roughness of `pgc.rendering.brdf`, our non-metals reflect
4 % straight on where DreamMat's reflect 8 %, and Filmic's way of letting bright colours go pale is left out: each
channel goes through its curve for greys. No published weights were run here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.conditions import Conditions
from pgc.guidance.control_pictures import normal_image

__all__ = ["dreammat_image", "filmic", "flashtex_image", "light_control"]

_FLASHTEX_CHANNELS, _DREAMMAT_CHANNELS = 3, 22
_ROUGH, _MIRROR, _BETWEEN = 2, 3, 6
"""Places in `pgc.rendering.known_materials.LIT_WHITE`."""
_DREAMMAT_SURFACES = 6
_FARTHEST = 0.3
_DARKEST_STOP, _STOPS = -11.0, 15.5
_FILMIC = (
    0.0072, 0.0090, 0.0110, 0.0133, 0.0159, 0.0188, 0.0220, 0.0256, 0.0297, 0.0343, 0.0394, 0.0451,
    0.0515, 0.0586, 0.0666, 0.0754, 0.0853, 0.0961, 0.1082, 0.1214, 0.1360, 0.1520, 0.1694, 0.1884,
    0.2090, 0.2313, 0.2551, 0.2806, 0.3076, 0.3362, 0.3662, 0.3974, 0.4297, 0.4629, 0.4967, 0.5304,
    0.5642, 0.5978, 0.6310, 0.6635, 0.6950, 0.7252, 0.7541, 0.7815, 0.8072, 0.8312, 0.8534, 0.8737,
    0.8923, 0.9090, 0.9241, 0.9375, 0.9494, 0.9598, 0.9688, 0.9766, 0.9832, 0.9887, 0.9932, 0.9969,
    0.9997, 1.0000, 1.0000,
)  # fmt: skip
"""Blender's *Filmic* (4.2, no look) of greys from 2 to the power of -11 to 2 to the power of 4.5, a quarter of a stop
apart, as it saves them."""


def light_control(channels: int) -> Callable[[Conditions], Tensor | None]:
    """Returns what a ControlNet for light is shown, by the number of channels that it takes.

    Raises:
        GuidanceError: it is neither of FlashTex's kind nor of DreamMat's.
    """
    if channels == _FLASHTEX_CHANNELS:
        return _flashtex
    if channels == _DREAMMAT_CHANNELS:
        return _dreammat
    raise GuidanceError(
        f"The ControlNet for light takes pictures of {channels} channels; expected {_FLASHTEX_CHANNELS} (FlashTex) "
        f"or {_DREAMMAT_CHANNELS} (DreamMat). Name another with --control-model light=HUB_ID_OR_FOLDER."
    )


def _flashtex(given: Conditions) -> Tensor | None:
    return None if given.lit_white is None else flashtex_image(given.lit_white)


def _dreammat(given: Conditions) -> Tensor | None:
    if given.lit_white is None or given.depth is None or given.mask is None or given.normal is None:
        return None
    return dreammat_image(given.lit_white, given.depth.float(), given.mask, given.normal)


def flashtex_image(lit_white: Float[Tensor, "b k h w"]) -> Float[Tensor, "b 3 h w"]:
    """Draws FlashTex's condition; `lit_white` as in `Conditions`."""
    return lit_white[:, [3 * place for place in (_ROUGH, _BETWEEN, _MIRROR)]].clamp(0.0, 1.0)


def dreammat_image(
    lit_white: Float[Tensor, "b k h w"],
    depth: Float[Tensor, "b 1 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    normal: Float[Tensor, "b 3 h w"],
) -> Float[Tensor, "b 22 h w"]:
    """Draws DreamMat's condition; arguments as in `Conditions`."""
    inverse = torch.where(mask, 1.0 / depth.clamp_min(1e-6), torch.zeros_like(depth))
    near = inverse.amax(dim=(1, 2, 3), keepdim=True)
    far = torch.where(mask, inverse, near).amin(dim=(1, 2, 3), keepdim=True)
    drawn = (1.0 - _FARTHEST) * (inverse - far) / (near - far + 1e-6) + _FARTHEST
    parts = [drawn, normal_image(normal, mask), filmic(lit_white[:, : 3 * _DREAMMAT_SURFACES])]
    return torch.cat(parts, dim=1) * mask


def filmic(radiance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns linear radiance into Blender's *Filmic*, channel by channel."""
    table = torch.tensor(_FILMIC, device=radiance.device, dtype=radiance.dtype)
    place = (radiance.clamp_min(2.0**_DARKEST_STOP).log2() - _DARKEST_STOP) * ((len(_FILMIC) - 1) / _STOPS)
    place = place.clamp(0.0, len(_FILMIC) - 1.0)
    lower = place.floor().clamp_max(len(_FILMIC) - 2.0)
    first = table[lower.long()]
    value = first + (table[lower.long() + 1] - first) * (place - lower)
    return value * (radiance / 2.0**_DARKEST_STOP).clamp(0.0, 1.0)
