# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are added to a job's model, LoRA and learnt words: read from the disk, named by their content."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..client import LORA_NAME_LETTERS, ArrayRef, EmbeddingSpec, FieldError, LoraSpec, ModelSpec
from ..model.conditions.loras import wished_loras
from ..model.conditions.words import wished_words
from ..protocol.arrays import array_ref
from .errors import SceneError

__all__ = ["model_spec"]


def model_spec(
    settings: bpy.types.PropertyGroup, arrays: dict[str, npt.NDArray[Any]], guidance_scale: float | None = None
) -> ModelSpec:
    """Returns the panel's model with what is added to it, whose files' bytes are added to the arrays.

    Raises:
        SceneError: a file is not there, is none of the kind, or is named twice.
        FieldError: no job may say so.
    """
    return ModelSpec(
        model=settings.model,
        guidance_scale=guidance_scale,
        loras=_loras_of(settings, arrays),
        embeddings=_words_of(settings, arrays),
    )


def _loras_of(settings: bpy.types.PropertyGroup, arrays: dict[str, npt.NDArray[Any]]) -> tuple[LoraSpec, ...]:
    """Returns the LoRA files that a job's model is to have, whose bytes are added to the arrays.

    Raises:
        SceneError: a file is not there, is none of the kind, or is named twice.
    """
    found: list[LoraSpec] = []
    for given, scale in wished_loras(settings, settings.model):
        path, ref = _add(given, "LoRA", arrays)
        if ref.sha256 in {lora.file.sha256 for lora in found}:
            raise SceneError(f"The LoRA {path.name} is there twice; take it once, with both strengths together.")
        found.append(LoraSpec(file=ref, scale=scale, name=path.name[:LORA_NAME_LETTERS]))
    return tuple(found)


def _words_of(settings: bpy.types.PropertyGroup, arrays: dict[str, npt.NDArray[Any]]) -> tuple[EmbeddingSpec, ...]:
    """Returns the learnt words that a job's model is to know, whose files' bytes are added to the arrays.

    Raises:
        SceneError: as of `_loras_of`, for two files with one word, and for a word that no prompt can have.
    """
    found: list[EmbeddingSpec] = []
    for given, word in wished_words(settings, settings.model):
        path, ref = _add(given, "learnt word's file", arrays)
        if ref.sha256 in {one.file.sha256 for one in found} or word.lower() in {one.word.lower() for one in found}:
            raise SceneError(f"The learnt word {word} or its file {path.name} is there twice; clear one of the rows.")
        try:
            found.append(EmbeddingSpec(file=ref, word=word, name=path.name[:LORA_NAME_LETTERS]))
        except FieldError as error:
            # Where none was typed it is the file's name, which nobody chose for it.
            raise SceneError(f"Type a Word for {path.name[:LORA_NAME_LETTERS]}: {error.text}") from error
    return tuple(found)


def _add(given: str, what: str, arrays: dict[str, npt.NDArray[Any]]) -> tuple[Path, ArrayRef]:
    path = Path(bpy.path.abspath(given.strip()))
    if path.suffix.lower() != ".safetensors":
        raise SceneError(f"The {what} {path.name} is no .safetensors file; look for it in that format.")
    try:
        state = path.stat()
        # Its bytes stay on the disk until they are sent; a server that knows the file is not sent it again.
        data = np.memmap(path, np.uint8, mode="r")
        ref = _named(str(path), state.st_mtime_ns, state.st_size)
    except (OSError, ValueError) as error:
        raise SceneError(f"The {what} {path} cannot be read; choose the file again, or clear its row.") from error
    arrays[ref.sha256] = data
    return path, ref


@lru_cache(maxsize=16)
def _named(path: str, _changed_ns: int, _size: int) -> ArrayRef:
    """The file by its content, which takes a moment for hundreds of MB: once as long as it does not change."""
    return array_ref(np.memmap(path, np.uint8, mode="r"))
