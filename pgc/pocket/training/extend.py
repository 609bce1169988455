# SPDX-License-Identifier: Apache-2.0
"""The second edition from the first one's training folder: lit data, training, export. Goes on where it stopped."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from pgc.pocket.data.lit_dataset import LitDataConfig, generate_lit, load_lit_captions
from pgc.pocket.training.export import ExportSources, export, trained_vae
from pgc.pocket.training.state import read_metadata
from pgc.pocket.training.train_lit import LitTrainConfig, train_lit
from pgc.pocket.training.train_vae import VaeConfig

__all__ = ["ExtendConfig", "export_second", "extend"]


@dataclass(frozen=True)
class ExtendConfig:
    """The recipe of the second edition; ``vae`` is the first edition's, which stays as it is."""

    data: LitDataConfig = field(default_factory=LitDataConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    lit: LitTrainConfig = field(default_factory=LitTrainConfig)
    threads: int = 1


def extend(first: Path, out: Path, config: ExtendConfig) -> Path:
    """Runs every stage under ``out``; returns the exported folder ``out/weights``."""
    torch.set_num_threads(config.threads)
    generate_lit(out / "lit", config.data)
    scaling = float(read_metadata(first / "latents.safetensors")["scaling"])
    train_lit(first, out, trained_vae(first / "vae.safetensors", config.vae), scaling, config.lit)
    return export_second(first, out, out / "weights", config)


def export_second(first: Path, out: Path, folder: Path, config: ExtendConfig) -> Path:
    """Exports the newest checkpoint of ``out`` to ``folder``, whether or not training is done."""
    facts = read_metadata(first / "latents.safetensors")
    sources = ExportSources(
        vae_checkpoint=first / "vae.safetensors",
        diffusion_checkpoint=out / "diffusion.safetensors",
        tokenizer_folder=out / "tokenizer",
        scaling_factor=float(facts["scaling"]),
        images=int(facts["images"]),
        held_out_psnr=float(facts["held_out_psnr"]),
        lit_images=len(load_lit_captions(out / "lit")),
    )
    return export(folder, sources, config.vae, config.lit.networks)
