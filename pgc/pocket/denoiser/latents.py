# SPDX-License-Identifier: Apache-2.0
"""Latents of the training pictures, a file a shard, beside what else training reads of them.

``NNNN.latents.npy`` is float16 [2, n, C, h, w]: of the pictures, and of their mirror images. ``latents.json`` says of
which autoencoder they are, and by what they are to be scaled.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from pgc.pocket.scenes.shards import SceneSet, load_scenes
from pgc.pocket.training.tokenizer import MAX_LENGTH, load_tokenizer
from pgc.pocket.training.train_vae import to_input
from pgc.whole_files import write_array, write_text

__all__ = ["LatentShards", "cache_latents", "load_latents", "scaling_of", "tokens_of"]

_LOG = logging.getLogger(__name__)
_FACTS = "latents.json"
_BATCH = 4


@dataclass(frozen=True)
class LatentShards:
    """What training reads. Arrays stay on disk until they are read."""

    scenes: SceneSet
    latents: list[NDArray[np.float16]]
    """Of each shard, unscaled."""
    tokens: Int[Tensor, "n length"]
    empty: Int[Tensor, " length"]
    """Tokens of the empty caption."""
    scaling: float


def tokens_of(captions: list[str], tokenizer_folder: Path) -> Int[Tensor, "n length"]:
    """Returns the token ids of captions."""
    options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True, "return_tensors": "pt"}
    ids: Tensor = load_tokenizer(tokenizer_folder)(captions, **options).input_ids
    return ids


@torch.no_grad()
def _encoded(vae: AutoencoderKL, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Means of the posteriors, [2, n, C, h, w]."""
    kinds = []
    for kind in (images, images[:, :, ::-1]):
        batches = [kind[first : first + _BATCH] for first in range(0, len(kind), _BATCH)]
        kinds.append(torch.cat([vae.encode(to_input(batch), return_dict=False)[0].mean.half() for batch in batches]))
    latents: NDArray[np.float16] = torch.stack(kinds).numpy()
    return latents


def _hash(checkpoint: Path) -> str:
    return hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def scaling_of(folder: Path) -> float:
    """Returns what latents in ``folder`` are to be multiplied by for unit deviation."""
    return float(json.loads((folder / _FACTS).read_text(encoding="utf-8"))["scaling"])


def _hold_to(checkpoint: Path, folder: Path) -> bool:
    """Whether ``folder`` has facts; refuses those of another autoencoder."""
    if not (folder / _FACTS).exists():
        return False
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if facts["autoencoder"] != _hash(checkpoint):
        raise ValueError(
            f"The latents in {folder} are of another autoencoder than {checkpoint}; expected one for all. "
            "Give a new folder, or delete this one."
        )
    return True


def cache_latents(vae: AutoencoderKL, checkpoint: Path, scenes: Path, folder: Path) -> None:
    """Encodes every complete shard of ``scenes`` that has no latents in ``folder`` yet.

    ``checkpoint`` is where ``vae`` was read from. The first shard decides the scaling.

    Raises:
        ValueError: ``folder`` has latents of another autoencoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = _hold_to(checkpoint, folder)
    for complete in sorted(scenes.glob("[0-9]*.json")):
        done = folder / f"{complete.stem}.latents.npy"
        if done.exists():
            continue
        latents = _encoded(vae, np.load(complete.with_suffix(".image.npy")))
        if not known:
            facts = {"autoencoder": _hash(checkpoint), "scaling": 1.0 / float(latents.astype(np.float32).std())}
            write_text(folder / _FACTS, json.dumps(facts))
            known = True
        write_array(done, latents)
        _LOG.info("latents of shard %s", complete.stem)


def load_latents(scenes: Path, folder: Path, tokenizer_folder: Path) -> LatentShards:
    """Loads what ``cache_latents`` has made so far, with the pictures that it is of."""
    done = {path.name.split(".")[0] for path in folder.glob("[0-9]*.latents.npy")}
    if not done:
        raise FileNotFoundError(f"No latents in {folder}; run `python -m pgc.pocket.denoiser latents` first.")
    data = load_scenes(scenes, done)
    latents = [np.load(folder / f"{name}.latents.npy", mmap_mode="r") for name in sorted(done)]
    tokens = tokens_of([*(label["caption"] for label in data.labels), ""], tokenizer_folder)
    return LatentShards(data, latents, tokens[:-1], tokens[-1], scaling_of(folder))
