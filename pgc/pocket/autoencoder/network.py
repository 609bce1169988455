# SPDX-License-Identifier: Apache-2.0
"""The candidates: how many times smaller the latent picture is, and how wide each level."""

from dataclasses import dataclass
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

__all__ = ["DEEP", "SHALLOW", "AutoencoderShape", "build_autoencoder"]


@dataclass(frozen=True)
class AutoencoderShape:
    """Channels of each level, from whole pictures down; each level but the last halves the picture."""

    channels: tuple[int, ...]
    latent_channels: int
    groups: int = 8

    @property
    def reduction(self) -> int:
        """How many times narrower the latent picture is."""
        return 2 ** (len(self.channels) - 1)


DEEP = AutoencoderShape((16, 32, 64, 96, 128), 16)
"""16 times smaller, 16 channels: latents of 16 x 16, as the second edition's UNet has them at 128 pixels. Wider
(16/32/64/128/160) it would not fit the package beside that UNet."""

SHALLOW = AutoencoderShape((16, 32, 64, 128), 8)
"""8 times smaller, 8 channels: latents of 32 x 32, for a UNet of half the width."""


def build_autoencoder(shape: AutoencoderShape) -> AutoencoderKL:
    """Builds an untrained autoencoder of 256-pixel pictures."""
    # diffusers annotates these as tuples of one element, and documents and takes longer ones.
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(shape.channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(shape.channels),
        "block_out_channels": shape.channels,
    }
    return AutoencoderKL(
        **levels,
        layers_per_block=1,
        latent_channels=shape.latent_channels,
        norm_num_groups=shape.groups,
        sample_size=256,
        mid_block_add_attention=False,
    )
