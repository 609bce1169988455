# SPDX-License-Identifier: Apache-2.0
"""How flow models read a prompt: T5 in one piece of a fixed length, CLIP beside it in its one window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.guidance.diffusion.long_prompts import FittedPrompt, fits_tokenizers, fitted_prompt

__all__ = ["OneWindow", "fits_length", "padded_tokens", "t5_states"]


def fits_length(tokenizer: Any, length: int) -> Callable[[str], bool]:  # noqa: ANN401 - no common base class
    """Makes the test whether a text has at most so many tokens, those of its end counted."""

    def fits(text: str) -> bool:
        """Says whether a text fits."""
        return len(tokenizer(text, truncation=False, verbose=False).input_ids) <= length

    return fits


class OneWindow:
    """Texts cut, phrase by phrase, to what an encoder reads in one piece."""

    def __init__(self, fits: Callable[[str], bool]) -> None:
        self._fits = fits

    @classmethod
    def of(cls, tokenizers: Sequence[Any]) -> OneWindow:
        """Makes one for what each of these tokenizers reads by its own settings."""
        return cls(fits_tokenizers(tokenizers))

    def fitted(self, prompt: str) -> FittedPrompt:
        """Says what is read of a prompt, and what is not."""
        return fitted_prompt(prompt, self._fits)

    def texts(self, prompts: Sequence[str]) -> list[str]:
        """Returns what is read of each prompt."""
        return [self.fitted(prompt).text for prompt in prompts]


def padded_tokens(tokenizer: Any, texts: Sequence[str], length: int) -> tuple[Int[Tensor, "b l"], Int[Tensor, "b l"]]:  # noqa: ANN401
    """Returns token ids of fixed length, of texts that fit into it, and 1 where a token is no padding."""
    batch = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return batch.input_ids, batch.attention_mask


def t5_states(
    encoder: Any,  # noqa: ANN401 - transformers' classes are untyped here
    tokenizer: Any,  # noqa: ANN401
    texts: Sequence[str],
    length: int,
    device: torch.device,
) -> Float[Tensor, "b l d"]:
    """Returns T5's last hidden states, padding included, as SD3 and FLUX were trained to read them."""
    ids, _ = padded_tokens(tokenizer, texts, length)
    return encoder(ids.to(device))[0]
