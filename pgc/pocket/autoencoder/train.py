# SPDX-License-Identifier: Apache-2.0
"""Training the autoencoder: crops first, then whole pictures; it goes on from its checkpoint, with the same draws."""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from pgc.pocket.autoencoder.losses import LossConfig, autoencoder_loss, gradient_penalty
from pgc.pocket.autoencoder.network import DEEP, AutoencoderShape, build_autoencoder
from pgc.pocket.scenes.shards import SceneSet, load_scenes
from pgc.pocket.training.loop import Pace, run_steps
from pgc.pocket.training.state import OptimizerConfig, TrainState, load_average, use_channels_last
from pgc.pocket.training.train_vae import to_input

__all__ = ["CHECKPOINT", "AutoencoderConfig", "crops", "load_trained", "train_autoencoder"]

_LOG = logging.getLogger(__name__)
CHECKPOINT = "autoencoder.safetensors"


@dataclass(frozen=True)
class AutoencoderConfig:
    """Architecture and schedule. bfloat16 pays where the CPU has it, and not elsewhere."""

    shape: AutoencoderShape = DEEP
    losses: LossConfig = field(default_factory=LossConfig)
    steps: int = 16000
    crop_batch: int = 4
    crop: int = 128
    whole_batch: int = 2
    whole_from: float = 0.8
    """Share of the steps after which whole pictures are used."""
    gradient_batch: int = 2
    bfloat16: bool = False
    log_every: int = 25
    save_seconds: float = 180.0
    seed: int = 17
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1.5e-3, matrix_rate=3e-3))


def crops(data: SceneSet, rng: np.random.Generator, count: int, size: int) -> Tensor:
    """Draws random crops [count, 3, size, size] in [-1, 1], about points of the object, mirrored at random."""
    picked = np.empty((count, size, size, 3), np.uint8)
    for slot in range(count):
        shard, row = data.place(int(rng.integers(data.count)))
        image, depth = data.images[shard][row], data.depths[shard][row]
        full = image.shape[0]
        corner = np.zeros(2, np.int64)
        if size < full:
            rows, columns = np.nonzero(depth)
            at = int(rng.integers(max(len(rows), 1)))
            middle = np.array([rows[at], columns[at]]) if len(rows) else np.array([full, full]) // 2
            corner = np.clip(middle - size // 2, 0, full - size)
        crop = image[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
        picked[slot] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return to_input(picked)


def _loss_at(
    vae: AutoencoderKL, data: SceneSet, config: AutoencoderConfig, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Loss at ``step``, and what is known of it. Draws follow from seed, step and the number of pictures alone."""
    whole = step >= config.whole_from * config.steps
    size = data.images[0].shape[1] if whole else config.crop
    rng = np.random.default_rng([config.seed, step])
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    images = crops(data, rng, config.whole_batch if whole else config.crop_batch, size)
    loss, squared = autoencoder_loss(vae, images, config.losses, generator, config.bfloat16)
    figures = {} if squared is None else {"psnr": -10.0 * math.log10(squared / 4.0)}
    wanted = config.losses.tail > 0.0 or config.losses.mean_square > 0.0
    if wanted and step % config.losses.gradient_every == 0:
        penalty = gradient_penalty(vae, images[: config.gradient_batch], config.losses, generator)
        loss = loss + config.losses.gradient_every * penalty.loss
        figures |= {"tail": penalty.tail, "mean_square": penalty.mean_square}
    return loss, figures


def train_autoencoder(data_folder: Path, out: Path, config: AutoencoderConfig, stop_at: int | None = None) -> Path:
    """Trains, or goes on from the checkpoint in ``out``, up to ``config.steps`` or ``stop_at``; returns its path.

    Shards that were rendered since are picked up at every save.
    """
    torch.manual_seed(config.seed)
    vae = build_autoencoder(config.shape)
    use_channels_last(vae)
    state = TrainState(vae, config.optimizer)
    data = load_scenes(data_folder)
    _LOG.info("autoencoder: %d pictures", data.count)

    def loss_at(step: int) -> tuple[Tensor, dict[str, float]]:
        """Computes the loss on what is there."""
        return _loss_at(vae, data, config, step)

    def take_new() -> None:
        """Takes up new shards."""
        nonlocal data
        data = load_scenes(data_folder)

    pace = Pace(config.steps, stop_at, config.log_every, config.save_seconds)
    return run_steps(state, loss_at, out / CHECKPOINT, pace, take_new)


def load_trained(checkpoint: Path, shape: AutoencoderShape) -> AutoencoderKL:
    """Loads the autoencoder with its averaged weights, in evaluation mode."""
    vae = build_autoencoder(shape)
    load_average(checkpoint, vae)
    use_channels_last(vae)
    vae.eval().requires_grad_(False)
    return vae
