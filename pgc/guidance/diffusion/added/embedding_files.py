# SPDX-License-Identifier: Apache-2.0
"""Words learnt from pictures (Gal et al., "An Image is Worth One Word", ICLR 2023): textual inversion.

A file has one vector or several for a word, for each text encoder. The tokenizer gets a token for each vector, the
encoder a row; where the word stands in a prompt, all its tokens stand there. It is matched as a whole word. Tokens have
names of their own, so that the word may be one that the model knows already: then it means what the file says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AddedToken

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.added.specs import EmbeddingSpec

__all__ = ["LearntWords", "learn_words"]

_NAMES = ("clip_l", "clip_g")
"""Of SDXL's two encoders, in their order."""


class LearntWords:
    """A tokenizer that knows learnt words, spelled with the tokens that stand for each."""

    def __init__(self, tokenizer: Any, spelled: dict[str, str]) -> None:  # noqa: ANN401 - no common base class
        self._tokenizer = tokenizer
        self._spelled = spelled
        words = "|".join(re.escape(word) for word in sorted(spelled, key=len, reverse=True))
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
        self.model_max_length: int = tokenizer.model_max_length

    def __call__(self, text: str | Sequence[str], **how: Any) -> Any:  # noqa: ANN401 - as transformers has it
        """Turns texts to tokens, as the tokenizer does."""
        texts = self.spelled(text) if isinstance(text, str) else [self.spelled(one) for one in text]
        return self._tokenizer(texts, **how)

    def spelled(self, text: str) -> str:
        """Returns a text with all tokens of the words in it."""
        return self._words.sub(lambda match: self._spelled[match[0].lower()], text)


def learn_words(embeddings: Sequence[EmbeddingSpec], encoders: Sequence[Any], tokenizers: Sequence[Any]) -> list[Any]:
    """Teaches the words to encoders and tokenizers; returns the tokenizers to use from then on.

    Raises:
        GuidanceError: a file is none, is for another model, or has values that are not finite.
    """
    spelled: dict[str, str] = {}
    for index, embedding in enumerate(embeddings):
        vectors = _vectors(embedding, encoders)
        tokens = [f"<learnt-{index}-{row}>" for row in range(len(vectors[0]))]
        for encoder, tokenizer, rows in zip(encoders, tokenizers, vectors, strict=True):
            tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
            _add_rows(encoder, tokenizer, tokens, rows)
        spelled[embedding.token.lower()] = " ".join(tokens)
    return [LearntWords(tokenizer, spelled) for tokenizer in tokenizers] if spelled else list(tokenizers)


def _vectors(embedding: EmbeddingSpec, encoders: Sequence[Any]) -> list[Tensor]:
    """The rows for each encoder."""
    try:
        tensors = load_file(embedding.path)
    except (OSError, SafetensorError) as error:
        raise GuidanceError(f"{embedding.path} cannot be read as safetensors ({error}); download it again.") from error
    names = tuple(tensors) if len(tensors) == 1 else _NAMES
    found = [tensors[name] for name in names if name in tensors]
    rows = [value.reshape(-1, value.shape[-1]) for value in found]
    widths = [encoder.get_input_embeddings().embedding_dim for encoder in encoders]
    if [row.shape[1] for row in rows] != widths or len({len(row) for row in rows}) > 1:
        raise GuidanceError(
            f"{embedding.path} was made for another model: its vectors have {[row.shape[1] for row in rows]} numbers, "
            f"the model's words {widths}. Give one for the same base model."
        )
    if not all(row.float().isfinite().all() for row in rows):
        raise GuidanceError(f"{embedding.path} has vectors that are not finite; download it again, or learn it anew.")
    return rows


def _add_rows(encoder: Any, tokenizer: Any, tokens: Sequence[str], rows: Tensor) -> None:  # noqa: ANN401
    before: nn.Embedding = encoder.get_input_embeddings()
    numbers = tokenizer.convert_tokens_to_ids(list(tokens))
    weight = before.weight.detach()
    wider = weight.new_zeros(max(len(weight), len(tokenizer)), weight.shape[1])
    wider[: len(weight)] = weight
    wider[torch.tensor(numbers, device=weight.device)] = rows.to(weight)
    encoder.set_input_embeddings(nn.Embedding.from_pretrained(wider, freeze=True))
    # Old settings say 2, which makes the encoder take the highest number of a text for its end: now a learnt word.
    for part in encoder.modules():
        if hasattr(part, "eos_token_id"):
            part.eos_token_id = tokenizer.eos_token_id
