# SPDX-License-Identifier: Apache-2.0
"""First training stage: the autoencoder, on crops around the object and then on whole pictures."""

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from pgc.pocket.data.dataset import RenderSet, load
from pgc.pocket.training.state import OptimizerConfig, TrainState, load_average, use_channels_last

_LOG = logging.getLogger(__name__)
HELD_OUT = 96  # images at the end of the set that the autoencoder never sees


@dataclass(frozen=True)
class VaeConfig:
    """Architecture and schedule of the autoencoder."""

    channels: tuple[int, ...] = (24, 48, 96, 120)
    latent_channels: int = 8
    groups: int = 8
    steps: int = 2000
    crop_batch: int = 12
    crop: int = 64
    whole_batch: int = 3
    whole_from: float = 0.85  # share of the steps after which whole pictures are used
    kl_weight: float = 1e-6
    gradient_weight: float = 1.0
    save_every: int = 200
    seed: int = 11
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1.5e-3, matrix_rate=3e-3))


def build_vae(config: VaeConfig) -> AutoencoderKL:
    """Builds an untrained autoencoder, 8 times smaller in latent space."""
    # diffusers annotates these as tuples of one element, and documents and takes longer ones.
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(config.channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(config.channels),
        "block_out_channels": config.channels,
    }
    return AutoencoderKL(
        **levels,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=config.groups,
        sample_size=128,
        mid_block_add_attention=False,
    )


def _crops(data: RenderSet, rng: np.random.Generator, count: int, size: int) -> Tensor:
    """Random crops [count, 3, size, size] in [-1, 1], centred on the object where that is possible."""
    full = data.images.shape[1]
    picked = np.empty((count, size, size, 3), np.uint8)
    for slot in range(count):
        index = int(rng.integers(len(data.images) - HELD_OUT))
        corner = np.zeros(2, np.int64)
        if size < full:
            rows, columns = np.nonzero(data.depths[index])
            at = int(rng.integers(len(rows)))
            corner = np.clip(np.array([rows[at], columns[at]]) - size // 2, 0, full - size)
        crop = data.images[index, corner[0] : corner[0] + size, corner[1] : corner[1] + size]
        picked[slot] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return to_input(picked)


def to_input(images: np.ndarray) -> Tensor:
    """Turns uint8 [B, H, W, 3] into float [B, 3, H, W] in [-1, 1], channels last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return tensor.contiguous(memory_format=torch.channels_last)


def _loss(vae: AutoencoderKL, images: Tensor, config: VaeConfig) -> tuple[Tensor, float]:
    """Reconstruction loss (L1 + L2 + L1 of gradients, tiny KL), and the mean squared error."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = vae.encode(images, return_dict=False)[0]
        decoded = vae.decode(cast(torch.FloatTensor, posterior.sample()), return_dict=False)[0].float()
    error = decoded - images
    down = (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    squared = error.square().mean()
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(dim=(1, 2, 3)).mean() / error[0].numel()
    loss = error.abs().mean() + squared + config.gradient_weight * (down + across) + config.kl_weight * 192 * kl
    return loss, float(squared.detach())


@torch.no_grad()
def held_out_psnr(vae: AutoencoderKL, data: RenderSet, count: int = 48) -> float:
    """Computes the PSNR in dB over whole pictures that were held out, decoded from the posterior's mean."""
    images = to_input(data.images[-count:])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = cast(torch.FloatTensor, vae.encode(images, return_dict=False)[0].mode())
        decoded = vae.decode(latents, return_dict=False)[0].float().clamp(-1.0, 1.0)
    error = (decoded - images).square().mean(dim=(1, 2, 3)) / 4.0
    return float((-10.0 * error.log10()).mean())


def train_vae(data_folder: Path, out: Path, config: VaeConfig) -> Path:
    """Trains, or goes on from ``out/vae.safetensors``; returns that path. Picks up new shards on the way."""
    torch.manual_seed(config.seed)
    checkpoint = out / "vae.safetensors"
    vae = build_vae(config)
    use_channels_last(vae)
    state = TrainState(vae, config.optimizer)
    curves: dict[str, list[float]] = {"step": [], "crop_psnr": []}
    if checkpoint.exists():
        curves = state.load(checkpoint)
    data = load(data_folder)
    recent: list[float] = []
    started = time.monotonic()
    while state.step < config.steps:
        whole = state.step >= config.whole_from * config.steps
        size, batch = (data.images.shape[1], config.whole_batch) if whole else (config.crop, config.crop_batch)
        # Seeded by the step, so that a resumed run draws what the uninterrupted one would.
        rng = np.random.default_rng([config.seed, state.step])
        torch.manual_seed(config.seed * 1_000_003 + state.step)
        loss, squared = _loss(vae, _crops(data, rng, batch, size), config)
        state.update(loss, config.steps)
        recent.append(squared / 4.0)
        if state.step % 50 == 0:
            psnr = -10.0 * math.log10(sum(recent) / len(recent))
            pace = (time.monotonic() - started) / len(recent)
            _LOG.info("vae step %d: loss %.4f, crop psnr %.2f dB, %.2f s a step", state.step, loss.detach(), psnr, pace)
            curves["step"].append(float(state.step))
            curves["crop_psnr"].append(round(psnr, 3))
            recent, started = [], time.monotonic()
        if state.step % config.save_every == 0 or state.step == config.steps:
            state.save(checkpoint, curves)
            data = load(data_folder)
    load_average(checkpoint, vae)
    _LOG.info("vae held-out psnr %.2f dB", held_out_psnr(vae, data))
    return checkpoint
