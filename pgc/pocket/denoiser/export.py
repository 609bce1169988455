# SPDX-License-Identifier: Apache-2.0
"""From the checkpoints to a folder that loads as any Stable Diffusion does."""

import json
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from pgc.pocket.denoiser.config import DenoiserConfig
from pgc.pocket.denoiser.train import CHECKPOINT, TOKENIZER
from pgc.pocket.swatches.words import vocabulary
from pgc.pocket.training.export import SIZE_LIMIT, save_pipeline
from pgc.pocket.training.state import load_average
from pgc.pocket.training.tokenizer import write_tokenizer
from pgc.pocket.training.train_diffusion import build_networks
from pgc.whole_files import write_text

__all__ = ["export_third"]


def export_third(vae: AutoencoderKL, scaling: float, trained: Path, folder: Path, config: DenoiserConfig) -> Path:
    """Writes averaged weights in half precision, tokenizer and vocabulary; returns ``folder``.

    ``trained`` is the folder of ``train_denoiser``; ``scaling`` that of the latents it learnt from.

    Raises:
        ValueError: the folder takes more than may ship.
    """
    networks = build_networks(config.networks, trained / TOKENIZER)
    load_average(trained / CHECKPOINT, networks)
    vae.register_to_config(scaling_factor=scaling)
    save_pipeline(folder, vae, networks, trained / TOKENIZER)
    write_tokenizer(folder / "tokenizer", vocabulary())
    write_text(folder / "vocabulary.json", json.dumps(vocabulary(), indent=1) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > SIZE_LIMIT:
        raise ValueError(f"The prior takes {size / 2**20:.1f} MiB; at most {SIZE_LIMIT / 2**20:.0f} may ship.")
    return folder
