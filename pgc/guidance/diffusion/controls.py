# SPDX-License-Identifier: Apache-2.0
"""ControlNets beside a UNet: what each is shown, how strongly each speaks, and the sum of what they say.

Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models", ICCV 2023. Several are added up, as in
diffusers. One that pools its answer over the picture (shuffle) speaks under the prompt alone, as its authors run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions
from pgc.guidance.control_pictures import (
    depth_image,
    edge_image,
    normal_image,
    official_depth_image,
    shuffled_image,
    tile_image,
)
from pgc.guidance.control_specs import ControlKind, ControlWindow, ControlWish
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.light_controls import light_control
from pgc.guidance.diffusion.loading import ControlNetModel, UNet2DConditionModel
from pgc.guidance.resizing import resize_bilinear

__all__ = [
    "Control",
    "ControlImage",
    "ControlPicture",
    "ShownControl",
    "control_picture",
    "control_residuals",
    "depth_controls",
    "fitting_picture",
    "retuned_controls",
    "shown_controls",
]

ControlPicture = Callable[[Conditions], Float[Tensor, "b c h w"] | None]
"""From what a step shows to the picture of a ControlNet; None: the step does not show it."""


ControlImage = Callable[
    [Float[Tensor, "b 1 h w"], Bool[Tensor, "b 1 h w"], Float[Tensor, "b k h w"] | None], Float[Tensor, "b c h w"]
]
"""From the G-buffer's depth and mask, and the shading of known materials where it is told, to the picture that a
ControlNet was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Control:
    """A ControlNet, what it is shown, and how much it counts when."""

    kind: ControlKind
    net: ControlNetModel
    picture: ControlPicture
    scale: float = 1.0
    window: ControlWindow = field(default_factory=ControlWindow)

    def strength(self, conditions: Conditions, timestep: Int[Tensor, " b"], count: int) -> Float[Tensor, " b"] | None:
        """Returns the scale of each view; None where it does not act."""
        scales = torch.full(timestep.shape, self.scale, device=timestep.device)
        if self.window.over == "noise":
            share = timestep.float() / (count - 1)
            return scales * ((share >= self.window.start) & (share <= self.window.end))
        acts = self.window.start <= conditions.progress <= self.window.end
        return scales if acts else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownControl:
    """A control with this call's picture."""

    control: Control
    picture: Float[Tensor, "b c m n"]
    scale: Float[Tensor, " b"]

    def of(self, views: slice) -> ShownControl:
        """Returns the same for some of the views."""
        return replace(self, picture=self.picture[views], scale=self.scale[views])


def depth_controls(
    net: ControlNetModel | None, draw: ControlImage, config: LatentDiffusionConfig
) -> tuple[Control, ...]:
    """Returns a model's own ControlNet for depth with what it is shown, as strong as the configuration says; none where
    there is none."""
    if net is None:
        return ()

    def picture(given: Conditions) -> Tensor | None:
        """Draws the depth, with the light where it is told."""
        if given.depth is None or given.mask is None:
            return None
        return draw(given.depth.float(), given.mask, given.shading)

    return (Control(kind="depth", net=net, picture=picture, scale=config.control_scale, window=config.control_window),)


def retuned_controls(controls: Sequence[Control], wishes: Sequence[ControlWish]) -> tuple[Control, ...]:
    """Returns the same ControlNets, as strong and when they are wished now; one wish each."""
    pairs = zip(controls, wishes, strict=True)
    return tuple(replace(one, scale=wish.scale, window=wish.window) for one, wish in pairs)


def fitting_picture(kind: ControlKind, net: ControlNetModel, unet: UNet2DConditionModel) -> ControlPicture:
    """Returns what a ControlNet beside this UNet is shown.

    Raises:
        GuidanceError: its pictures have other channels than those of its kind, or it is another model's.
    """
    picture = control_picture(kind, int(net.config["conditioning_channels"]))
    reads, read = (part.config["cross_attention_dim"] for part in (net, unet))
    if reads != read:
        raise GuidanceError(
            f"The ControlNet for {kind} is for another model: it reads words of {reads} numbers, this model has them "
            f"of {read}. Name one that was trained for this model with --control-model {kind}=HUB_ID_OR_FOLDER."
        )
    return picture


def control_picture(kind: ControlKind, channels: int = 3) -> ControlPicture:
    """Returns what a published ControlNet of this kind is shown.

    Args:
        kind: of the control.
        channels: of the pictures that the ControlNet takes; those for light differ by them.

    Raises:
        GuidanceError: there is no such ControlNet of this kind.
    """
    if kind == "light":
        return light_control(channels)
    if channels != 3:
        raise GuidanceError(
            f"The ControlNet for {kind} takes pictures of {channels} channels; expected 3. Name another with "
            f"--control-model {kind}=HUB_ID_OR_FOLDER."
        )
    match kind:
        case "depth":
            return _depth
        case "depth-official":
            return _official_depth
        case "normal":
            return _normal
        case "tile":
            return lambda given: None if given.picture is None else tile_image(given.picture)
        case "shuffle":
            return _shuffled
        case "edges":
            return _edges


def _depth(given: Conditions) -> Tensor | None:
    if given.depth is None or given.mask is None:
        return None
    return depth_image(given.depth.float(), given.mask)


def _official_depth(given: Conditions) -> Tensor | None:
    if given.depth is None or given.mask is None:
        return None
    return official_depth_image(given.depth.float(), given.mask.float())


def _normal(given: Conditions) -> Tensor | None:
    if given.normal is None or given.mask is None:
        return None
    return normal_image(given.normal, given.mask)


def _shuffled(given: Conditions) -> Tensor | None:
    if given.reference is None:
        raise GuidanceError("The control shuffle shows a picture of yours; give one with --reference IMAGE.")
    return shuffled_image(given.reference).expand(given.prompt.batch, -1, -1, -1)


def _edges(given: Conditions) -> Tensor | None:
    if given.depth is None or given.mask is None or given.normal is None or given.regions is None:
        return None
    return edge_image(given.depth.float(), given.mask, given.normal, given.regions)


def shown_controls(
    controls: Sequence[Control],
    conditions: Conditions,
    timestep: Int[Tensor, " b"],
    *,
    count: int,
    image_size: int,
    like: Tensor,
) -> list[ShownControl]:
    """Draws the pictures of those controls that act, at the size, place and precision of the network.

    Args:
        controls: all of a model.
        conditions: what the step shows.
        timestep: of each view.
        count: number of all timesteps.
        image_size: side of the pictures.
        like: the latents, in the network's precision.

    Raises:
        GuidanceError: there are not as many pictures as views, or a control lacks what it must be shown.
    """
    found: list[ShownControl] = []
    for control in controls:
        scale = control.strength(conditions, timestep, count)
        if scale is None or control.scale == 0.0:
            continue
        picture = control.picture(conditions)
        if picture is None:
            continue
        if len(picture) != len(timestep):
            raise GuidanceError(
                f"Got {len(picture)} {control.kind} images for {len(timestep)} latents; expected one a view."
            )
        found.append(ShownControl(control=control, picture=resize_bilinear(picture, image_size).to(like), scale=scale))
    return found


def control_residuals(
    shown: Sequence[ShownControl],
    sample: Float[Tensor, "rows k m n"],
    timestep: Int[Tensor, " rows"],
    is_prompted: Sequence[bool],
    common: Mapping[str, Any],
) -> dict[str, Any]:
    """Asks each ControlNet; returns the sum of what they say, by the names of the UNet's arguments.

    Args:
        shown: of this call; the rows are all views of it, once or several times over.
        sample: noisy latents in the network's precision.
        timestep: of each row.
        is_prompted: for each time that all views are there, whether it is under the prompt.
        common: the other arguments, which UNet and ControlNets share.
    """
    down: list[Tensor] | None = None
    middle: Tensor | None = None
    for one in shown:
        times = len(sample) // len(one.picture)
        scale = one.scale.repeat(times)
        if one.control.net.config["global_pool_conditions"]:
            counts = torch.tensor([float(is_one) for is_one in is_prompted], device=scale.device)
            scale = scale * counts.repeat_interleave(len(one.picture))
        net: Any = one.control.net
        said, said_middle = net(sample, timestep, controlnet_cond=one.picture.repeat(times, 1, 1, 1), **common)
        factor = scale.to(sample.dtype)[:, None, None, None]
        scaled, scaled_middle = [part * factor for part in said], said_middle * factor
        down = scaled if down is None else [a + b for a, b in zip(down, scaled, strict=True)]
        middle = scaled_middle if middle is None else middle + scaled_middle
    if down is None:
        return {}
    return {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": middle}
