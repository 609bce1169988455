# SPDX-License-Identifier: Apache-2.0
"""The prompt as each view is told it."""

from __future__ import annotations

from collections.abc import Sequence

from pgc.cameras import Camera
from pgc.cameras.view_names import VIEW_NAMES, FrontAxis, view_name
from pgc.guidance.base import Guidance, PromptEmbedding
from pgc.optimization.config import Prompt

__all__ = ["ViewPrompts"]


class ViewPrompts:
    """The embeddings of a run's prompt. All are made at once, since text encoders may have to be fetched for each."""

    def __init__(self, guidance: Guidance, prompt: Prompt) -> None:
        self._front: FrontAxis = prompt.front_axis
        texts = {name: prompt.of_view(name) for name in VIEW_NAMES}
        encoded = {text: guidance.encode_prompt([text]) for text in dict.fromkeys(texts.values())}
        self._embeddings = {name: encoded[text] for name, text in texts.items()}
        self._negative = guidance.encode_prompt([prompt.negative], negative=True)

    def of(self, cameras: Sequence[Camera]) -> PromptEmbedding:
        """Returns what is asked for where each camera stands."""
        return PromptEmbedding.cat([self._embeddings[view_name(camera, self._front)] for camera in cameras])

    def negative_of(self, cameras: Sequence[Camera]) -> PromptEmbedding:
        """Returns what is not wanted, a row for each camera."""
        return PromptEmbedding.cat([self._negative] * len(cameras))
