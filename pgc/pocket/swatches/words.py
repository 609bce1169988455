# SPDX-License-Identifier: Apache-2.0
"""What is said of a drawn material: noun phrases, captions, and the words that they span."""

import numpy as np

from pgc.pocket.data.captions import (
    ENDINGS,
    OPENINGS,
    SOFT_WORDS,
    View,
    article,
    caption_words,
    pick,
    shape_word,
    view_words,
)
from pgc.pocket.data.captions import vocabulary as first_vocabulary
from pgc.pocket.data.shapes import ShapeName
from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.draw import COLOR_WORDS, SCALES, Drawn, Substance
from pgc.pocket.swatches.finish import FINISH_WORDS
from pgc.pocket.swatches.pairs import LAYOUT_PHRASES

__all__ = ["caption", "phrase", "vocabulary"]


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _said(rng: np.random.Generator, one: Substance, noun: str) -> str:
    """Scale, finish, colours and ``noun``, as people order them."""
    finish = pick(rng, FINISH_WORDS[one.finish]) if one.finish else ""
    color = one.color
    if one.recipe.dye == "stained" and color:
        color = _joined(color, pick(rng, ("", "stained")))
    if one.recipe.paired and one.second:
        return _joined(one.scale, finish, f"{one.color} and {one.second}", noun)
    return _joined(one.scale, finish, color, noun)


def _noun(rng: np.random.Generator, one: Substance) -> str:
    return one.recipe.name if rng.random() < 0.6 else pick(rng, one.recipe.nouns)


def _substance_phrase(rng: np.random.Generator, one: Substance) -> str:
    said = _said(rng, one, _noun(rng, one))
    if one.second and not one.recipe.paired:
        return f"{said} with {one.second} {one.recipe.second}"
    return said


def phrase(rng: np.random.Generator, drawn: Drawn) -> str:
    """Writes a noun phrase without an article: "red bricks with black mortar", "oak with brass bands"."""
    first = _substance_phrase(rng, drawn.first)
    if drawn.other is None:
        return first
    return pick(rng, LAYOUT_PHRASES[drawn.layout]).format(a=first, b=_said(rng, drawn.other, drawn.other.recipe.name))


def _subject(rng: np.random.Generator, drawn: Drawn, shape: str) -> str:
    form = rng.random()
    if form < 0.30:
        return phrase(rng, drawn)
    if form < 0.65 and drawn.other is None:
        before = article(
            _joined(_said(rng, drawn.first, drawn.first.recipe.adjective or drawn.first.recipe.name), shape)
        )
        second = drawn.first.second if not drawn.first.recipe.paired else ""
        return f"{before} with {second} {drawn.first.recipe.second}" if second else before
    if form < 0.90:
        return f"{article(shape)} {pick(rng, ('made of', 'made of', 'covered in'))} {phrase(rng, drawn)}"
    return f"{phrase(rng, drawn)} texture on {article(shape)}"


def caption(rng: np.random.Generator, drawn: Drawn, shape: ShapeName, view: View, flat: bool) -> str:
    """Writes an ordinary English caption; always names the material, its colours where they are not its own, its
    finish."""
    noun = shape_word(rng, shape) if rng.random() < 0.7 else "object"
    text = pick(rng, OPENINGS) + _subject(rng, drawn, noun)
    if rng.random() < 0.6:
        text += f", {view_words(view)}"
    if flat:
        text += ", flat lighting"
    elif rng.random() < 0.8:
        text += f", {pick(rng, ('soft lighting', 'soft lighting', *SOFT_WORDS))}"
    return text + pick(rng, ENDINGS)


def vocabulary() -> dict[str, list[str]]:
    """Returns the known words by group. Every word of every caption is in one group or more."""
    names = [text for one in RECIPES for text in (one.name, one.adjective, one.second, *one.nouns)]
    phrases = [part for layout in LAYOUT_PHRASES.values() for part in layout]
    layouts = [part.replace("{a}", "").replace("{b}", "") for part in phrases]
    before = first_vocabulary()
    return {
        "colors": caption_words(*COLOR_WORDS),
        "materials": caption_words(*names, "made of covered in stained"),
        "layouts": caption_words(*layouts),
        "finishes": caption_words(*(word for words in FINISH_WORDS.values() for word in words)),
        "scales": sorted(scale for scale in SCALES if scale),
        "shapes": before["shapes"],
        "views": before["views"],
        "other": caption_words(*SOFT_WORDS, *OPENINGS, *ENDINGS, "flat lighting texture on a an and with"),
    }
