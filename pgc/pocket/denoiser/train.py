# SPDX-License-Identifier: Apache-2.0
"""Training UNet, ControlNet and text encoder together on cached latents; it goes on from its checkpoint."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pgc.pocket.conditioning import depth_condition, lit_condition
from pgc.pocket.denoiser.config import DenoiserConfig
from pgc.pocket.denoiser.latents import LatentShards, load_latents
from pgc.pocket.swatches.words import vocabulary
from pgc.pocket.training.loop import Pace, run_steps
from pgc.pocket.training.state import TrainState
from pgc.pocket.training.tokenizer import write_tokenizer
from pgc.pocket.training.train_diffusion import build_networks, build_scheduler, velocity_loss

__all__ = ["CHECKPOINT", "TOKENIZER", "draw_batch", "train_denoiser"]

_LOG = logging.getLogger(__name__)
CHECKPOINT = "denoiser.safetensors"
TOKENIZER = "tokenizer"


def _kept(rng: np.random.Generator, count: int, dropped: float) -> Tensor:
    """1 where something is kept, 0 where it is dropped: [count, 1, 1, 1]."""
    return torch.from_numpy(rng.random(count) >= dropped).float()[:, None, None, None]


def _turned(picture: np.ndarray, mirrored: bool) -> np.ndarray:
    """A picture [S, S, …], mirrored or not."""
    return picture[:, ::-1] if mirrored else picture


def draw_batch(data: LatentShards, config: DenoiserConfig, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws latents of unit deviation, token ids and conditions of one batch.

    Half of the pictures are mirrored. Draws follow from seed, step and the number of pictures alone.
    """
    rng = np.random.default_rng([config.seed, step])
    picked = rng.integers(data.scenes.count, size=config.batch)
    mirrored = rng.random(config.batch) < 0.5
    latents, depths, shadings = [], [], []
    for index, mirror in zip(picked, mirrored, strict=True):
        shard, row = data.scenes.place(int(index))
        latents.append(data.latents[shard][int(mirror), row])
        depths.append(_turned(data.scenes.depths[shard][row], bool(mirror)))
        shadings.append(_turned(data.scenes.shadings[shard][row], bool(mirror)))
    raw = torch.from_numpy(np.stack(depths).astype(np.float32))[:, None]
    shading = torch.from_numpy(np.stack(shadings)).permute(0, 3, 1, 2).float() / 255.0
    shading = shading * _kept(rng, config.batch, config.drop_shading)
    condition = lit_condition(depth_condition(raw, raw > 0), shading, config.networks.condition_channels)
    condition = condition * _kept(rng, config.batch, config.drop_condition)
    unsaid = torch.from_numpy(rng.random(config.batch) < config.drop_caption)
    tokens = torch.where(unsaid[:, None], data.empty, data.tokens[torch.from_numpy(picked)])
    scaled = torch.from_numpy(np.stack(latents).astype(np.float32)) * data.scaling
    return scaled, tokens, condition


def train_denoiser(scenes: Path, latents: Path, out: Path, config: DenoiserConfig, stop_at: int | None = None) -> Path:
    """Trains, or goes on from the checkpoint in ``out``, up to ``config.steps`` or ``stop_at``; returns its path.

    Latents that were cached since are taken up at every save.
    """
    tokenizer = out / TOKENIZER
    if not tokenizer.exists():
        write_tokenizer(tokenizer, vocabulary())
    networks = build_networks(config.networks, tokenizer)
    state = TrainState(networks, config.optimizer)
    scheduler = build_scheduler()
    data = load_latents(scenes, latents, tokenizer)
    _LOG.info("denoiser: %d pictures", data.scenes.count)

    def loss_at(step: int) -> tuple[Tensor, dict[str, float]]:
        """Computes the loss of a step's batch."""
        batch = draw_batch(data, config, step)
        seed = config.seed * 1_000_003 + step
        return velocity_loss(networks, scheduler, batch, seed, config.networks.min_snr, config.bfloat16), {}

    def take_new() -> None:
        """Takes up new latents."""
        nonlocal data
        data = load_latents(scenes, latents, tokenizer)

    pace = Pace(config.steps, stop_at, config.log_every, config.save_seconds)
    return run_steps(state, loss_at, out / CHECKPOINT, pace, take_new)
