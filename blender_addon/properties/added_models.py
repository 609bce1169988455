# SPDX-License-Identifier: GPL-3.0-or-later
"""What is added to the model of the next texture: files of the artist's, and models of the server's own by name."""

from typing import Any

from bpy.props import FloatProperty, StringProperty

from ..model.conditions.named import ADAPTER
from .searches import names_of

__all__ = ["AddedModels"]


def _lora(number: str) -> Any:  # noqa: ANN401
    """A file that is added to the model."""
    return StringProperty(
        name="LoRA",
        description=f"A .safetensors file that is added to the model: a style or a thing that it learnt{number}",
        subtype="FILE_PATH",
        maxlen=4096,
    )


def _lora_scale() -> Any:  # noqa: ANN401
    """How much of it."""
    return FloatProperty(
        name="LoRA Strength",
        description="How much of the LoRA is added; below 0 it turns round",
        min=-5.0,
        max=5.0,
        soft_min=0.0,
        soft_max=1.5,
        default=1.0,
    )


def _word_file(number: str) -> Any:  # noqa: ANN401
    """A file of textual inversion."""
    return StringProperty(
        name="Learnt Word",
        description=f"A .safetensors file of textual inversion, which teaches the model a word of the prompt{number}",
        subtype="FILE_PATH",
        maxlen=4096,
    )


def _word() -> Any:  # noqa: ANN401
    """What stands for it in the prompt."""
    return StringProperty(
        name="Word",
        description="What stands for it in the prompt; left empty, it is the file's name without its ending",
        maxlen=64,
    )


def _named(kind: str, what: str) -> Any:  # noqa: ANN401
    """One of the server's own models, out of its list."""
    return StringProperty(
        name=what,
        description=f"{what} that the server's owner has named, in place of the published one",
        maxlen=64,
        search=names_of(kind),
        search_options={"SUGGESTION"},
    )


class AddedModels:
    """The part of a scene's settings that Blender finds in a base of their class."""

    lora_1: _lora("")
    lora_1_scale: _lora_scale()
    lora_2: _lora(", as a second one")
    lora_2_scale: _lora_scale()
    lora_3: _lora(", as a third one")
    lora_3_scale: _lora_scale()
    embedding_1: _word_file("")
    embedding_1_word: _word()
    embedding_2: _word_file(", as a second one")
    embedding_2_word: _word()
    depth_model: _named("depth", "Depth ControlNet")
    normal_model: _named("normal", "Normals ControlNet")
    edges_model: _named("edges", "Edges ControlNet")
    tile_model: _named("tile", "Texture So Far ControlNet")
    shuffle_model: _named("shuffle", "Mixed Reference ControlNet")
    reference_adapter: _named(ADAPTER, "IP-Adapter")
