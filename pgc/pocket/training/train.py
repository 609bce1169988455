# SPDX-License-Identifier: Apache-2.0
"""All stages in order: data, autoencoder, latents, diffusion, export. Each goes on where it stopped."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pgc.pocket.data.dataset import DataConfig, generate, load
from pgc.pocket.training.export import ExportSources, export, trained_vae
from pgc.pocket.training.state import read_metadata
from pgc.pocket.training.tokenizer import write_tokenizer
from pgc.pocket.training.train_diffusion import (
    DiffusionConfig,
    cache_latents,
    load_latents,
    save_latents,
    train_diffusion,
)
from pgc.pocket.training.train_vae import VaeConfig, held_out_psnr, train_vae

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """The whole recipe. ``threads`` is for training; rendering takes ``processes``."""

    data: DataConfig = field(default_factory=DataConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    threads: int = 1
    processes: int = 1


def _latents(out: Path, config: TrainConfig) -> Path:
    """Cache latents once the autoencoder has all its steps; returns the cache's path."""
    cache = out / "latents.safetensors"
    if not cache.exists():
        data = load(out / "data")
        vae = trained_vae(out / "vae.safetensors", config.vae)
        psnr = held_out_psnr(vae, data)
        _LOG.info("autoencoder: held-out psnr %.2f dB; caching %d latents", psnr, len(data.images))
        cached, scaling = cache_latents(vae, data, out / "tokenizer")
        save_latents(cached, scaling, cache, psnr)
    return cache


def export_from(out: Path, folder: Path, config: TrainConfig) -> Path:
    """Exports the newest checkpoints under ``out`` to ``folder``, whether or not training is done."""
    facts = read_metadata(out / "latents.safetensors")
    sources = ExportSources(
        vae_checkpoint=out / "vae.safetensors",
        diffusion_checkpoint=out / "diffusion.safetensors",
        tokenizer_folder=out / "tokenizer",
        scaling_factor=float(facts["scaling"]),
        images=int(facts["images"]),
        held_out_psnr=float(facts["held_out_psnr"]),
    )
    return export(folder, sources, config.vae, config.diffusion)


def train(out: Path, config: TrainConfig) -> Path:
    """Runs every stage under ``out``; returns the exported folder ``out/weights``."""
    torch.set_num_threads(config.threads)
    generate(out / "data", config.data, config.processes)
    train_vae(out / "data", out, config.vae)
    write_tokenizer(out / "tokenizer")
    cache = _latents(out, config)
    train_diffusion(load_latents(cache), out / "tokenizer", out, config.diffusion)
    return export_from(out, out / "weights", config)
