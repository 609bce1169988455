# SPDX-License-Identifier: Apache-2.0
"""Captions of the lit renders, and the vocabulary of the second edition: the first one's with metals and finishes."""

from typing import Literal

import numpy as np

from pgc.pocket.data.captions import (
    ENDINGS,
    OPENINGS,
    SOFT_WORDS,
    View,
    article,
    pick,
    shape_word,
    view_words,
    vocabulary,
)
from pgc.pocket.data.captions import caption_words as words_of
from pgc.pocket.data.finishes import LitMaterial, material_words
from pgc.pocket.data.shapes import ShapeName

__all__ = ["LitLighting", "lit_vocabulary", "write_lit_caption"]

LitLighting = Literal["flat", "environment"]
_LIGHT_WORDS = ("soft lighting", "soft lighting", "soft lighting", *SOFT_WORDS)


def _subject(rng: np.random.Generator, words: str, shape: str) -> str:
    """The core of a caption, in one of four ordinary phrasings; a bare phrase is what many prompts are."""
    form = rng.random()
    if form < 0.28:
        return words
    if form < 0.66:
        return article(f"{words} {shape}")
    if form < 0.90:
        return f"{article(shape)} made of {words}"
    return f"{words} texture on {article(shape)}"


def write_lit_caption(
    rng: np.random.Generator, material: LitMaterial, shape: ShapeName, view: View, lighting: LitLighting
) -> str:
    """Writes an ordinary English caption; always names the material and its finish."""
    noun = shape_word(rng, shape) if rng.random() < 0.7 else "object"
    caption = pick(rng, OPENINGS) + _subject(rng, material.words, noun)
    if rng.random() < 0.6:
        caption += f", {view_words(view)}"
    if lighting == "flat":
        caption += ", flat lighting"
    elif rng.random() < 0.8:
        caption += f", {pick(rng, _LIGHT_WORDS)}"
    return caption + pick(rng, ENDINGS)


def lit_vocabulary() -> dict[str, list[str]]:
    """Returns the known words by group. Every word of every caption of both editions is in one group or more."""
    groups = vocabulary()
    colors, materials, finishes = (words_of(*material_words(part)) for part in ("color", "material", "finish"))
    trained = {
        **{group: words for group, words in groups.items() if group != "untrained"},
        "colors": sorted({*groups["colors"], *colors}),
        "materials": sorted({*groups["materials"], *materials}),
        "finishes": finishes,
    }
    known = {word for words in trained.values() for word in words}
    return {**trained, "untrained": [word for word in groups["untrained"] if word not in known]}
