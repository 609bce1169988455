# SPDX-License-Identifier: Apache-2.0
"""Files that change a model as it is loaded, as plain data.

Each is named by its path and by its content. So a run whose file was changed is another run, and a model that is kept
in memory serves only those that named the same files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pgc.errors import ConfigError

__all__ = ["ADAPTER_SCALE", "MOST_LORA", "AddedFiles", "EmbeddingSpec", "FlowName", "IpAdapterSpec", "LoraSpec"]
__all__ += ["contents_of"]

FlowName = Literal["sd3", "flux", "z_image"]
"""Whose names a LoRA of a flow model has."""
ADAPTER_SCALE = 0.5
"""Of an IP-Adapter where nothing is said: the prompt still says what the thing is."""
MOST_LORA = 5.0
"""Largest scale of a LoRA, either way: sliders are used with negative ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSpec:
    """A LoRA file, which is added to the weights once."""

    path: str = field(compare=False)
    """Where it lies; the same file elsewhere is the same LoRA."""
    sha256: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and abs(self.scale) <= MOST_LORA):
            raise ConfigError(
                f"The LoRA {self.path} has the scale {self.scale:g}; it must lie in [-{MOST_LORA:g}, {MOST_LORA:g}]."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSpec:
    """A word that was learnt from pictures (textual inversion)."""

    path: str = field(compare=False)
    sha256: str
    token: str
    """What stands for it in a prompt, as a word of its own, however it is capitalised."""

    def stands_in(self, text: str) -> bool:
        """Says whether a prompt has the word."""
        return re.search(rf"(?<!\w){re.escape(self.token)}(?!\w)", text, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAdapterSpec:
    """Weights that let a model look at a reference picture, and the encoder that sees it."""

    path: str
    sha256: str
    image_encoder: str
    """Folder in the transformers format."""
    scale: float = ADAPTER_SCALE

    def __post_init__(self) -> None:
        if not 0.0 <= self.scale <= 2.0:
            raise ConfigError(f"The IP-Adapter has the scale {self.scale:g}; it must lie in [0, 2].")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFiles:
    """All that is added to a model."""

    loras: tuple[LoraSpec, ...] = ()
    embeddings: tuple[EmbeddingSpec, ...] = ()
    ip_adapter: IpAdapterSpec | None = None


def contents_of(added: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is added, as fields of `AddedFiles`, without where the files lie, since each is named by its content
    beside it; empty where nothing is added.
    """
    adapters = [added["ip_adapter"]] if added["ip_adapter"] else []
    found = {"loras": added["loras"], "embeddings": added["embeddings"], "ip_adapter": adapters}
    return {
        kind: [{name: value for name, value in file.items() if name != "path"} for file in files]
        for kind, files in found.items()
        if files
    }
