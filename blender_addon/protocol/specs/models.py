# SPDX-License-Identifier: Apache-2.0
"""The priors that a job may name, and what each of ours can be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..arrays import ArrayRef, DType
from ..errors import FieldError
from ..fields import Strict, check_text, check_within
from ..structure import LATER
from .mesh import TileImage

__all__ = ["CONTROLS_OF", "FLOW_MODELS", "LORA_NAME_LETTERS", "MOST_LORAS", "READERS", "WITHOUT_LORAS", "EmbeddingSpec"]
__all__ += ["LoraSpec", "ModelSpec", "check_words"]

FLOW_MODELS: Final = frozenset({"sd35", "flux", "z-image"})
"""Models that were trained on straight paths from a picture to noise."""
_DEPTH: Final = ("depth", "depth-official")
CONTROLS_OF: Final[dict[str, tuple[str, ...]]] = {
    "pocket": ("depth",),
    "sd15": (*_DEPTH, "normal", "tile", "shuffle", "edges", "light"),
    "sd21": (*_DEPTH, "normal", "edges", "light"),
    "sdxl": (*_DEPTH, "tile", "edges"),
    "oracle": (),
    **dict.fromkeys(FLOW_MODELS, ()),
}
"""What each model of ours can be shown: of the mesh, and `shuffle` of a reference."""


MOST_LORAS: Final = 8
LORA_NAME_LETTERS: Final = 128
WITHOUT_LORAS: Final = {"pocket": "The built-in model", "oracle": "The oracle", "zero123": "Zero123"}
"""Models that take no LoRA, as sentences call them; all others do."""
READERS: Final = frozenset({"sd15", "sd21", "sdxl"})
"""Models that read with CLIP's text encoders alone and look through ControlNets: words can be taught to them, and an
IP-Adapter and further ControlNets added."""
_LEAST_BYTES = 10
"""Of a safetensors file: the length of its header, and an empty one."""
_WORD = re.compile(r"[^\s,;:=]{1,64}")


def _check_file(file: ArrayRef, name: str) -> None:
    """The bytes of a safetensors file, and its name for messages. Raises FieldError."""
    check_text("name", name)
    if len(name) > LORA_NAME_LETTERS:
        raise FieldError("name", f"Got {len(name)} letters; expected at most {LORA_NAME_LETTERS}.")
    if file.dtype is not DType.U8 or len(file.shape) != 1 or file.shape[0] < _LEAST_BYTES:
        raise FieldError("file", f"Got {file.dtype.name} {list(file.shape)}; expected the bytes of a file, U8 [N].")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSpec(Strict):
    """A LoRA file that is added to the prior's weights (since 1.2).

    Args:
        file: U8 [N]: a safetensors file, byte by byte.
        scale: how much of it is added; a negative one turns it round.
        name: of the file, for messages.
    """

    file: ArrayRef
    scale: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        check_within("scale", self.scale, -5.0, 5.0)
        _check_file(self.file, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSpec(Strict):
    """A word that was learnt from pictures: a file of textual inversion (since 1.2).

    Args:
        file: U8 [N]: a safetensors file, byte by byte.
        word: what stands for it in the prompts, however it is capitalised.
        name: of the file, for messages.
    """

    file: ArrayRef
    word: str
    name: str = ""

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.word):
            text = f"Got {self.word[:64]!r}; expected up to 64 letters without blanks, commas, colons and =."
            raise FieldError("word", text)
        _check_file(self.file, self.name)


def check_words(embeddings: Sequence[EmbeddingSpec], texts: Iterable[str]) -> None:
    """Raises FieldError where a learnt word stands in none of a job's prompts: its file would do nothing."""
    known = tuple(texts)
    for index, one in enumerate(embeddings):
        pattern = rf"(?<!\w){re.escape(one.word)}(?!\w)"
        if not any(re.search(pattern, text, re.IGNORECASE) for text in known):
            text = f"No prompt has the word {one.word!r}; put it into one, or leave the file out."
            raise FieldError(f"guidance.embeddings[{index}].word", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Strict):
    """The prior, by a key of WELCOME's models. `oracle` knows `oracle_texture`: for tests and evaluations."""

    model: str = "pocket"
    guidance_scale: float | None = None
    revision: str | None = None
    oracle_texture: tuple[TileImage, ...] | None = None
    loras: tuple[LoraSpec, ...] = field(default=(), metadata={LATER: True})
    """What is added to its weights, in this order."""
    embeddings: tuple[EmbeddingSpec, ...] = field(default=(), metadata={LATER: True})
    """Words that it is taught."""

    def __post_init__(self) -> None:
        allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        if not 1 <= len(self.model) <= 64 or not allowed.issuperset(self.model):
            raise FieldError("model", "Expected a key of 1 to 64 lower-case letters, digits, dots, dashes or _.")
        check_within("guidance_scale", self.guidance_scale, 0.0, 1000.0)
        check_text("revision", self.revision or "")
        if len(self.loras) > MOST_LORAS:
            raise FieldError("loras", f"Got {len(self.loras)} LoRA files; expected at most {MOST_LORAS}.")
        if len({lora.file.sha256 for lora in self.loras}) != len(self.loras):
            raise FieldError("loras", "Expected each file once; add their scales up.")
        if self.loras and self.model in WITHOUT_LORAS:
            what = WITHOUT_LORAS[self.model]
            raise FieldError("loras", f"{what} takes no LoRA; name a Stable Diffusion or flow model, or leave it out.")
        self._check_embeddings()

    def _check_embeddings(self) -> None:
        if len(self.embeddings) > MOST_LORAS:
            raise FieldError("embeddings", f"Got {len(self.embeddings)} learnt words; expected at most {MOST_LORAS}.")
        for once in ({one.word.lower() for one in self.embeddings}, {one.file.sha256 for one in self.embeddings}):
            if len(once) != len(self.embeddings):
                raise FieldError("embeddings", "Expected each word and each file once.")
        if self.embeddings and self.model not in READERS:
            raise FieldError("embeddings", f"{self.model} cannot be taught words; name {', '.join(sorted(READERS))}.")
