# SPDX-License-Identifier: Apache-2.0
"""What the third edition's networks are, and what a call of them costs."""

from dataclasses import dataclass, field

import torch
from torch.utils.flop_counter import FlopCounterMode

from pgc.pocket.training.state import OptimizerConfig
from pgc.pocket.training.tokenizer import MAX_LENGTH
from pgc.pocket.training.train_diffusion import DiffusionConfig, Networks
from pgc.rendering.known_materials import SHADING_CHANNELS

__all__ = ["DenoiserConfig", "call_gflop", "third_networks"]

_REDUCTION = 16


def third_networks() -> DiffusionConfig:
    """Returns the architecture: latents of 16 x 16, so that UNet and ControlNet see as many places as before.

    The condition has four times the pixels, so its first levels are narrower; eight channels at full size still hold
    depth and what light does to three materials.
    """
    return DiffusionConfig(
        latent_channels=16, depth_channels=(8, 12, 24, 40, 80), condition_channels=3 + SHADING_CHANNELS
    )


@dataclass(frozen=True)
class DenoiserConfig:
    """Architecture and schedule. bfloat16 pays where the CPU has it, and not elsewhere."""

    networks: DiffusionConfig = field(default_factory=third_networks)
    steps: int = 24000
    batch: int = 24
    drop_caption: float = 0.1
    drop_condition: float = 0.08
    """All of the condition is dropped."""
    drop_shading: float = 0.15
    """The light alone is not told."""
    bfloat16: bool = False
    log_every: int = 50
    save_seconds: float = 180.0
    seed: int = 41
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1e-3, matrix_rate=2e-3, ema_decay=0.998)
    )


def call_gflop(config: DiffusionConfig, reduction: int = _REDUCTION, vocabulary_size: int = 1000) -> float:
    """Counts a call for one picture, text encoder and condition included; a multiplication and an addition are two.

    ``reduction`` says how many times narrower latents are than the picture.
    """
    networks = Networks(config, vocabulary_size)
    size = config.latent_size
    noisy = torch.zeros(1, config.latent_channels, size, size)
    condition = torch.zeros(1, config.condition_channels, size * reduction, size * reduction)
    tokens = torch.zeros(1, MAX_LENGTH, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        networks(noisy, torch.tensor([500]), tokens, condition)
    return counter.get_total_flops() / 1e9
