# SPDX-License-Identifier: Apache-2.0
"""IP-Adapter (Ye et al., "IP-Adapter", 2023): a model looks at a reference picture beside the prompt.

Its weights lie in the UNet, as diffusers' own loader puts them; here is what they are shown. The negative half of
classifier-free guidance sees what diffusers shows it: zeros in the place of the picture's vector, or, where the patches
are looked at (IP-Adapter Plus), those of a black picture. The picture is one for all views, and is encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.memory.waiting import wait_where_it_is

__all__ = ["CLIP_MEAN", "CLIP_SPREAD", "IpAdapter", "SeenPicture", "set_adapter_scale"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_SPREAD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenPicture:
    """A picture as the image encoder saw it, and what the negative half is shown."""

    shown: Float[Tensor, "1 1 *n d"]
    negative: Float[Tensor, "1 1 *n d"]

    def rows(self, is_prompted: Sequence[bool], views: int) -> Tensor:
        """Returns a row a view, for each time that all views are there."""
        halves = [self.shown if prompted else self.negative for prompted in is_prompted]
        return torch.cat([half.expand(views, *half.shape[1:]) for half in halves])


def set_adapter_scale(unet: Any, scale: float) -> None:  # noqa: ANN401 - diffusers' classes are untyped here
    """Says how much a UNet with an IP-Adapter heeds the picture."""
    for processor in unet.attn_processors.values():
        if hasattr(processor, "to_k_ip"):
            processor.scale = [scale]


class IpAdapter:
    """The encoder of reference pictures; keeps what it saw of the last one."""

    def __init__(self, encoder: Any, device: torch.device, *, reads_patches: bool) -> None:  # noqa: ANN401 - transformers' classes are untyped
        """`device` is where the encoder works, whose weights may wait in main memory."""
        self._encoder = encoder
        self._device = device
        wait_where_it_is(encoder, device)
        self._reads_patches = reads_patches
        self._last: tuple[Tensor, SeenPicture] | None = None

    def see(self, reference: Float[Tensor, "1 3 y x"] | None) -> SeenPicture:
        """Encodes a picture, sRGB in [0, 1]; one that is not square is squeezed, so that all of it is seen.

        Raises:
            GuidanceError: there is none.
        """
        if reference is None:
            raise GuidanceError("The IP-Adapter shows a picture of yours; give one with --reference IMAGE.")
        if self._last is None or self._last[0] is not reference:
            self._last = (reference, self._encoded(reference))
        return self._last[1]

    @torch.no_grad()
    def _encoded(self, reference: Tensor) -> SeenPicture:
        side = int(self._encoder.config.image_size)
        picture = reference.to(self._device, torch.float32)
        if picture.shape[-2:] != (side, side):
            picture = F.interpolate(picture, (side, side), mode="bicubic", antialias=True).clamp(0.0, 1.0)
        mean, spread = (picture.new_tensor(numbers)[:, None, None] for numbers in (CLIP_MEAN, CLIP_SPREAD))
        pixels = ((picture - mean) / spread).to(self._encoder.dtype)
        if not self._reads_patches:
            shown = self._encoder(pixels).image_embeds[:, None]
            return SeenPicture(shown=shown, negative=torch.zeros_like(shown))
        both = self._encoder(torch.cat([pixels, torch.zeros_like(pixels)]), output_hidden_states=True)
        shown, negative = both.hidden_states[-2][:, None].chunk(2)
        return SeenPicture(shown=shown, negative=negative)
