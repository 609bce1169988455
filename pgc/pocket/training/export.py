# SPDX-License-Identifier: Apache-2.0
"""From checkpoints to a Stable Diffusion folder: averaged weights, fp16 safetensors, card and vocabulary."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.pocket.sample import lit_grid, load_pipeline, sample_grid
from pgc.pocket.training.model_card import CardFacts, write_card
from pgc.pocket.training.state import load_average, read_metadata, use_channels_last
from pgc.pocket.training.tokenizer import load_tokenizer, write_tokenizer
from pgc.pocket.training.train_diffusion import DiffusionConfig, Networks, build_networks, build_scheduler
from pgc.pocket.training.train_vae import VaeConfig, build_vae
from pgc.whole_files import write_picture, write_text

_LOG = logging.getLogger(__name__)
SIZE_LIMIT = 36 * 2**20


@dataclass(frozen=True)
class ExportSources:
    """Where the parts lie that training has made."""

    vae_checkpoint: Path
    diffusion_checkpoint: Path
    tokenizer_folder: Path
    scaling_factor: float
    images: int
    held_out_psnr: float
    lit_images: int = 0
    """Of the second edition; 0 for the first."""


def trained_vae(checkpoint: Path, config: VaeConfig) -> AutoencoderKL:
    """Loads the autoencoder with its averaged weights, in evaluation mode."""
    vae = build_vae(config)
    load_average(checkpoint, vae)
    use_channels_last(vae)
    vae.eval().requires_grad_(False)
    return vae


def save_pipeline(folder: Path, vae: AutoencoderKL, networks: Networks, tokenizer_folder: Path) -> None:
    """Saves the networks in half precision as diffusers lays a pipeline out."""
    # diffusers annotates these more narrowly than it takes them.
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    others: dict[str, Any] = {"scheduler": build_scheduler(), **absent}
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        text_encoder=networks.text_encoder,
        tokenizer=load_tokenizer(tokenizer_folder),
        unet=networks.unet,
        controlnet=networks.controlnet,
        requires_safety_checker=False,
        **others,
    )
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)


def export(folder: Path, sources: ExportSources, vae_config: VaeConfig, config: DiffusionConfig) -> Path:
    """Writes the shipped folder; refuses to write more than the size limit. Returns ``folder``."""
    vae = trained_vae(sources.vae_checkpoint, vae_config)
    vae.register_to_config(scaling_factor=sources.scaling_factor)
    networks = build_networks(config, sources.tokenizer_folder)
    load_average(sources.diffusion_checkpoint, networks)
    save_pipeline(folder, vae, networks, sources.tokenizer_folder)
    lit = config.condition_channels > DiffusionConfig().condition_channels
    words = lit_vocabulary() if lit else vocabulary()
    write_tokenizer(folder / "tokenizer", words)
    write_text(folder / "vocabulary.json", json.dumps(words, indent=1) + "\n")
    loaded = load_pipeline(folder)
    grid = sample_grid(loaded, seed=1)
    _save_grid(np.concatenate([grid, lit_grid(loaded, seed=1)]) if lit else grid, folder / "samples.webp")
    vae_notes = json.loads(read_metadata(sources.vae_checkpoint)["notes"])
    notes = json.loads(read_metadata(sources.diffusion_checkpoint)["notes"])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    facts = CardFacts(
        sources.images, sources.held_out_psnr, size, vae_notes, notes, vae_config, config, sources.lit_images
    )
    write_card(folder / "MODEL_CARD.md", facts)
    if size > SIZE_LIMIT:
        raise ValueError(f"The prior takes {size / 2**20:.1f} MiB; at most {SIZE_LIMIT / 2**20:.0f} may ship.")
    _LOG.info("exported %.1f MiB to %s", size / 2**20, folder)
    return folder


def _save_grid(grid: np.ndarray, path: Path) -> None:
    from PIL import Image

    write_picture(path, Image.fromarray(grid), quality=70, method=6)
