# SPDX-License-Identifier: Apache-2.0
"""Captions of the training renders, and the vocabulary that they span."""

import re
import string
from typing import Literal

import numpy as np

from pgc.pocket.data.materials import MATERIALS, MaterialName
from pgc.pocket.data.palette import COLORS, ColorName
from pgc.pocket.data.shapes import SHAPES, ShapeName

View = Literal["front", "side", "back", "overhead", "underside"]
Lighting = Literal["flat", "soft"]

_COLOR_WORDS: dict[ColorName, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "yellow", "golden yellow"),
    "green": ("green", "green", "green", "emerald green"),
    "teal": ("teal", "teal", "teal", "turquoise", "cyan"),
    "blue": ("blue", "blue", "blue", "azure"),
    "purple": ("purple", "purple", "purple", "violet"),
    "pink": ("pink", "pink", "pink", "rose pink"),
    "brown": ("brown", "brown", "brown", "chocolate brown"),
    "white": ("white", "white", "white", "ivory white"),
    "black": ("black", "black", "black", "dark black"),
}
# Phrases that stand before the thing ("a {color} {adjective} {shape}") ...
_ADJECTIVES: dict[MaterialName, tuple[str, ...]] = {
    "brick": ("brick", "bricks", "brick wall", "brickwork"),
    "wood": ("wood", "wooden", "wood plank", "timber"),
    "marble": ("marble", "veined marble", "polished marble"),
    "checker": ("checker", "checkered", "checkerboard", "chequered", "checked"),
    "stripes": ("stripes", "striped", "stripy", "banded"),
    "dots": ("dots", "polka dot", "polka dots", "dotted", "spotted"),
    "camouflage": ("camouflage", "camo", "camouflaged", "army camouflage"),
    "rust": ("rust", "rusty", "rusted", "rusty painted metal"),
    "cobblestone": ("cobblestone", "cobbled", "cobble stone", "cobblestones"),
    "fabric": ("fabric", "woven fabric", "woven cloth", "cloth", "textile"),
    "scales": ("scales", "scaly", "scaled", "fish scale", "dragon scale"),
    "plain": ("plain", "smooth", "solid", "painted", "plain painted"),
}
# ... and behind it ("a {shape} {of}"), with the colour inside.
_PHRASES: dict[MaterialName, tuple[str, ...]] = {
    "brick": ("made of {c} bricks", "made of {c} brick", "covered in {c} brick", "built from {c} bricks"),
    "wood": ("made of {c} wood", "made of {c} wooden planks", "covered in {c} wood grain"),
    "marble": ("made of {c} marble", "carved from {c} marble", "of {c} marble with veins"),
    "checker": ("with a {c} checker pattern", "covered in {c} checkers", "with {c} checks"),
    "stripes": ("with {c} stripes", "covered in {c} stripes", "with a {c} striped pattern"),
    "dots": ("with {c} dots", "with {c} polka dots", "covered in {c} polka dots", "with {c} spots"),
    "camouflage": ("in {c} camouflage", "with a {c} camo pattern", "covered in {c} camouflage"),
    "rust": ("made of {c} rusty metal", "of rusted {c} metal", "with {c} paint and rust"),
    "cobblestone": ("made of {c} cobblestone", "built from {c} cobblestones", "covered in {c} cobbles"),
    "fabric": ("made of {c} fabric", "wrapped in {c} woven cloth", "covered in {c} fabric"),
    "scales": ("covered in {c} scales", "with {c} scales", "made of {c} dragon scales"),
    "plain": ("in plain {c}", "painted {c}", "made of plain {c} plastic", "with a smooth {c} surface"),
}
SHAPE_WORDS: dict[ShapeName, tuple[str, ...]] = {
    "sphere": ("sphere", "ball"), "cube": ("cube",), "box": ("box", "block"), "cylinder": ("cylinder", "column"),
    "cone": ("cone",), "torus": ("torus", "ring", "donut"), "capsule": ("capsule", "pill"), "pyramid": ("pyramid",),
    "vase": ("vase", "jar", "pot"), "bowl": ("bowl",), "egg": ("egg",), "mug": ("mug", "cup"),
    "object": ("object", "thing", "shape", "sculpture"),
    "figure": ("figure", "statue", "toy", "creature", "character"),
}  # fmt: skip
_VIEW_WORDS: dict[View, str] = {
    "front": "front view", "side": "side view", "back": "back view", "overhead": "overhead view",
    "underside": "underside view",
}  # fmt: skip
SOFT_WORDS = ("studio lighting", "soft light", "soft lighting", "shaded")
OPENINGS = ("", "", "", "", "photo of ", "a photo of ", "render of ", "3d render of ", "an image of ", "a picture of ")
ENDINGS = ("", "", "", "", ", high quality", ", detailed", ", game asset", ", texture")
# Words that an artist may well use and that the captions lack: whole tokens, though never trained.
_SPARE_WORDS = (
    "the on in at by for from to is it this that and or no not very best quality low blurry dark light bright old "
    "new grey gray gold silver teapot monkey rabbit panda house car chair table surface seamless material"
)


def article(phrase: str) -> str:
    """Puts the phrase behind "a" or "an"."""
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """Picks one of the options, each as likely."""
    return options[int(rng.integers(len(options)))]


def _subject(rng: np.random.Generator, color: str, material: MaterialName, shape: str) -> str:
    """The core of a caption, in one of five ordinary phrasings."""
    # The first adjective is the bare name: what most prompts, and the evaluation's, will say.
    adjective = _ADJECTIVES[material][0] if rng.random() < 0.4 else pick(rng, _ADJECTIVES[material])
    form = rng.random()
    if form < 0.45:
        return article(f"{color} {adjective} {shape}")
    if form < 0.75:
        return f"{article(shape)} {pick(rng, _PHRASES[material]).format(c=color)}"
    if form < 0.85:
        return f"{color} {adjective} texture on {article(shape)}"
    if form < 0.93:
        return f"{article(shape)} with a {color} {adjective} texture"
    return f"{color} {adjective}"


def shape_word(rng: np.random.Generator, shape: ShapeName) -> str:
    """Picks one of the names of a shape."""
    return pick(rng, SHAPE_WORDS[shape])


def view_words(view: View) -> str:
    """Says how captions name a view: "front view"."""
    return _VIEW_WORDS[view]


def write_caption(
    rng: np.random.Generator, color: ColorName, material: MaterialName, shape: ShapeName, view: View, lighting: Lighting
) -> str:
    """Writes an ordinary English caption; always names the colour and the material."""
    noun = shape_word(rng, shape) if rng.random() < 0.8 else "object"
    caption = pick(rng, OPENINGS) + _subject(rng, pick(rng, _COLOR_WORDS[color]), material, noun)
    if rng.random() < 0.6:
        caption += f", {_VIEW_WORDS[view]}"
    if lighting == "flat" and rng.random() < 0.8:
        caption += ", flat lighting"
    elif lighting == "soft" and rng.random() < 0.4:
        caption += f", {pick(rng, SOFT_WORDS)}"
    return caption + pick(rng, ENDINGS)


def caption_words(*phrases: str) -> list[str]:
    """Returns all words of the phrases, sorted, once each."""
    return sorted({word for phrase in phrases for word in re.findall(r"[a-z0-9]+", phrase.replace("{c}", ""))})


def vocabulary() -> dict[str, list[str]]:
    """Returns the known words by group. Every word of every caption is in one group or more."""
    materials = [*MATERIALS, *(phrase for name in MATERIALS for phrase in (*_ADJECTIVES[name], *_PHRASES[name]))]
    shapes = [*SHAPES, *(word for name in SHAPES for word in SHAPE_WORDS[name])]
    other = [*SOFT_WORDS, *OPENINGS, *ENDINGS, "flat lighting", "texture on a an with"]
    return {
        "colors": caption_words(*COLORS, *(word for name in COLORS for word in _COLOR_WORDS[name])),
        "materials": caption_words(*materials),
        "shapes": caption_words(*shapes),
        "views": caption_words(*_VIEW_WORDS.values()),
        "other": caption_words(*other),
        "untrained": sorted(set(_SPARE_WORDS.split()) - set(caption_words(*materials, *shapes, *other))),
    }


def unknown_words(prompt: str, known: dict[str, list[str]]) -> list[str]:
    """Returns the words of ``prompt`` that training never saw, in order; ``known`` is ``vocabulary.json``."""
    trained = {word for group, words in known.items() if group != "untrained" for word in words}
    cleaned = "".join(letter if letter not in string.punctuation else " " for letter in prompt.lower())
    return [word for word in dict.fromkeys(cleaned.split()) if word not in trained]
