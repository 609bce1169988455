# SPDX-License-Identifier: Apache-2.0
"""From the first edition's networks to the second's: more words, more channels, and at first the same answers."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pgc.pocket.training.tokenizer import load_tokenizer
from pgc.pocket.training.train_diffusion import DiffusionConfig, Networks, build_networks

__all__ = ["widened", "widened_networks"]

_TOKENS = "embeddings.token_embedding.weight"
_CONDITION = "controlnet.controlnet_cond_embedding."


def widened(narrow: Tensor, wide: Tensor) -> Tensor:
    """Puts a layer's weights [o, i, …] (or bias [o]) inside those of a larger layer, which is left as it is elsewhere.

    What the old outputs take from the new inputs is 0, so that they stay what they were whatever the new inputs are;
    new outputs keep the larger layer's own weights.
    """
    if any(a > b for a, b in zip(narrow.shape, wide.shape, strict=True)):
        raise ValueError(f"Got weights of {tuple(narrow.shape)} for a layer of {tuple(wide.shape)}; it is smaller.")
    result = wide.clone()
    result[: len(narrow)] = 0.0
    result[tuple(slice(0, size) for size in narrow.shape)] = narrow
    return result


def _tokens(narrow: Tensor, wide: Tensor, before: Mapping[str, int], after: Mapping[str, int]) -> Tensor:
    """The table of the larger vocabulary: rows of words that both know, and new rows as they are."""
    result = wide.clone()
    for token, row in after.items():
        if token in before:
            result[row] = narrow[before[token]]
    return result


def widened_networks(
    weights: Mapping[str, Tensor], tokenizer: Path, config: DiffusionConfig, wide_tokenizer: Path
) -> Networks:
    """Builds networks of ``config`` that answer as ``weights`` do wherever the new channels are 0 and all words are
    known.

    ``weights`` are the first edition's parameters by name, read with ``tokenizer``. In truth they answer so whatever
    the new channels hold: what comes from them has weight 0 until training says otherwise.
    """
    networks = build_networks(config, wide_tokenizer)
    before, after = load_tokenizer(tokenizer).get_vocab(), load_tokenizer(wide_tokenizer).get_vocab()
    with torch.no_grad():
        for name, value in networks.named_parameters():
            old = weights[name]
            if name.endswith(_TOKENS):
                value.copy_(_tokens(old, value, before, after))
            elif name.startswith(_CONDITION):
                value.copy_(widened(old, value))
            else:
                value.copy_(old)
    return networks
