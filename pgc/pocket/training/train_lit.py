# SPDX-License-Identifier: Apache-2.0
"""The second edition: the first one, widened and trained on over lit renders, with its own renders replayed."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor

from pgc.pocket.conditioning import depth_condition, lit_condition
from pgc.pocket.data.dataset import load_captions
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.pocket.data.lit_dataset import LitSet, load_lit, load_lit_captions
from pgc.pocket.training.state import OptimizerConfig, TrainState
from pgc.pocket.training.tokenizer import MAX_LENGTH, load_tokenizer, write_tokenizer
from pgc.pocket.training.train_diffusion import (
    DiffusionConfig,
    LatentSet,
    build_scheduler,
    encode_latents,
    fit,
    load_latents,
    velocity_loss,
)
from pgc.pocket.training.widen import widened_networks
from pgc.rendering.known_materials import SHADING_CHANNELS
from pgc.whole_files import write_array

_LOG = logging.getLogger(__name__)


def _wide() -> DiffusionConfig:
    return DiffusionConfig(depth_channels=(16, 32, 64, 128), condition_channels=3 + SHADING_CHANNELS)


@dataclass(frozen=True)
class LitTrainConfig:
    """Architecture and schedule of the second edition."""

    networks: DiffusionConfig = field(default_factory=_wide)
    steps: int = 4500
    batch: int = 20
    replay: int = 7
    """Pictures of every batch that are the first edition's, so that nothing is forgotten."""
    drop_caption: float = 0.1
    drop_depth: float = 0.08
    """All of the condition is dropped."""
    drop_shading: float = 0.15
    """The light alone is not told."""
    save_every: int = 100
    seed: int = 29
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1e-3, matrix_rate=1e-3, warmup=60, ema_decay=0.997)
    )


@dataclass(frozen=True)
class LitLatents:
    """The lit set as training reads it."""

    latents: Tensor  # float16 [N, C, h, w]
    depths: Tensor  # float16 [N, 1, S, S], 0 off the object
    shading: Tensor  # uint8 [N, S, S, K]
    tokens: Tensor  # int64 [N, MAX_LENGTH]


def tokens_of(captions: list[str], tokenizer_folder: Path) -> Tensor:
    """Returns the token ids [N, MAX_LENGTH] of captions."""
    tokenizer = load_tokenizer(tokenizer_folder)
    options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True, "return_tensors": "pt"}
    ids: Tensor = tokenizer(captions, **options).input_ids
    return ids


def retokenized(cached: LatentSet, captions: list[str], tokenizer_folder: Path) -> LatentSet:
    """Returns the first edition's cache in the second's tokens."""
    if len(captions) != len(cached.tokens):
        raise ValueError(f"Got {len(captions)} captions for {len(cached.tokens)} latents; expected one each.")
    tokens = tokens_of([*captions, ""], tokenizer_folder)
    return LatentSet(cached.latents, cached.depths, tokens[:-1], tokens[-1])


def cache_lit(vae: AutoencoderKL, data: LitSet, scaling: float, tokenizer_folder: Path, cache: Path) -> LitLatents:
    """Returns the latents of the lit set; pictures that ``cache`` (an .npy file) has already are not encoded again."""
    known = np.load(cache) if cache.exists() else None
    start = 0 if known is None else len(known)
    if start < len(data.images):
        fresh = (encode_latents(vae, data.images[start:]).float() * scaling).half().numpy()
        known = fresh if known is None else np.concatenate([known, fresh])
        write_array(cache, known)
    if known is None:
        raise ValueError("There is no lit picture to encode.")
    return LitLatents(
        latents=torch.from_numpy(known[: len(data.images)]),
        depths=torch.from_numpy(data.depths)[:, None],
        shading=torch.from_numpy(data.shading),
        tokens=tokens_of(data.captions, tokenizer_folder),
    )


def _dropped(rng: np.random.Generator, count: int, share: float) -> Tensor:
    """1 where something is kept, 0 where it is dropped: [count, 1, 1, 1]."""
    return torch.from_numpy(rng.random(count) >= share).float()[:, None, None, None]


def draw_batch(lit: LitLatents, first: LatentSet, config: LitTrainConfig, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws the latents, token ids and conditions of one batch: ``replay`` pictures of the first edition, then lit
    ones."""
    rng = np.random.default_rng([config.seed, step])
    old = torch.from_numpy(rng.integers(len(first.tokens), size=config.replay))
    new = torch.from_numpy(rng.integers(len(lit.tokens), size=config.batch - config.replay))
    mirrored = torch.from_numpy(rng.random(config.replay) < 0.5 * (len(first.latents) - 1))
    raw = first.depths[old].float()
    raw = torch.cat([torch.where(mirrored[:, None, None, None], raw.flip(-1), raw), lit.depths[new].float()])
    shading = lit.shading[new].permute(0, 3, 1, 2).float() / 255.0
    shading = shading * _dropped(rng, len(new), config.drop_shading)
    shading = torch.cat([shading.new_zeros((len(old), *shading.shape[1:])), shading])
    condition = lit_condition(depth_condition(raw, raw > 0), shading, 3 + shading.shape[1])
    condition = condition * _dropped(rng, config.batch, config.drop_depth)
    latents = torch.cat([first.latents[mirrored.long(), old], lit.latents[new]]).float()
    tokens = torch.cat([first.tokens[old], lit.tokens[new]])
    unsaid = torch.from_numpy(rng.random(config.batch) < config.drop_caption)
    # Interleaved, since noise levels are laid over the batch in order: both sets see all of them.
    order = torch.from_numpy(rng.permutation(config.batch))
    return latents[order], torch.where(unsaid[:, None], first.empty, tokens)[order], condition[order]


def first_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Reads the averaged weights of a diffusion checkpoint, by parameter."""
    tensors = load_file(checkpoint)
    return {name.removeprefix("average."): value for name, value in tensors.items() if name.startswith("average.")}


def train_lit(first: Path, out: Path, vae: AutoencoderKL, scaling: float, config: LitTrainConfig) -> Path:
    """Trains, or goes on from ``out/diffusion.safetensors``; returns that path.

    ``first`` is the first edition's training folder, ``out/lit`` holds the lit set. New shards are taken up on the way.
    """
    folder = out / "tokenizer"
    if not folder.exists():
        write_tokenizer(folder, lit_vocabulary())
    replayed = retokenized(load_latents(first / "latents.safetensors"), load_captions(first / "data"), folder)
    weights = first_weights(first / "diffusion.safetensors")
    networks = widened_networks(weights, first / "tokenizer", config.networks, folder)
    state = TrainState(networks, config.optimizer)
    scheduler = build_scheduler()
    lit = cache_lit(vae, load_lit(out / "lit"), scaling, folder, out / "lit_latents.npy")
    _LOG.info("second edition: %d lit pictures, %d replayed", len(lit.tokens), len(replayed.tokens))

    def loss_at(step: int) -> Tensor:
        """Returns the loss of a step's batch; where a checkpoint is due, takes new shards in first."""
        nonlocal lit
        if step % config.save_every == 0 and len(load_lit_captions(out / "lit")) > len(lit.tokens):
            lit = cache_lit(vae, load_lit(out / "lit"), scaling, folder, out / "lit_latents.npy")
        batch = draw_batch(lit, replayed, config, step)
        return velocity_loss(networks, scheduler, batch, config.seed * 1_000_003 + step, config.networks.min_snr)

    return fit(state, loss_at, out / "diffusion.safetensors", steps=config.steps, save_every=config.save_every)
