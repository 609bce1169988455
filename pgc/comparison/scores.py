# SPDX-License-Identifier: Apache-2.0
"""Numbers beside a run's pictures: what the judge sees of the words of its prompt, and how speckled it is."""

from __future__ import annotations

import re
from typing import get_args

from pgc.evaluation.judge.judge import Judge, judge_input
from pgc.evaluation.measures.speckle import chroma_noise_by_scale
from pgc.evaluation.pictures import MeshViews
from pgc.pocket.data.materials import MaterialName
from pgc.pocket.data.palette import ColorName
from pgc.texture.field import BakedTexture

__all__ = ["VIEW_SIZE", "named_in", "texture_scores"]

VIEW_SIZE = 128
"""Of the views that are scored."""
_WORDS: dict[MaterialName, str] = {
    "brick": r"bricks?", "wood": r"wood(en)?", "marble": r"marble", "checker": r"checke(r|red)s?|checks",
    "stripes": r"stripe[ds]?", "dots": r"(polka )?dot(s|ted)?", "camouflage": r"camouflage", "rust": r"rust(y|ed)?",
    "cobblestone": r"cobblestones?", "fabric": r"(woven )?fabric", "scales": r"scal(y|es)", "plain": r"plain",
}  # fmt: skip


def named_in(prompt: str) -> tuple[ColorName | None, MaterialName | None]:
    """Returns the colour and the material that the judge knows and a prompt names; None where it names none or
    several."""
    text = prompt.lower()
    known: tuple[ColorName, ...] = get_args(ColorName)
    colors: list[ColorName] = [name for name in known if re.search(rf"\b{name}\b", text)]
    materials: list[MaterialName] = [name for name, words in _WORDS.items() if re.search(rf"\b({words})\b", text)]
    color = colors[0] if len(colors) == 1 else None
    return color, materials[0] if len(materials) == 1 else None


def texture_scores(judge: Judge, views: MeshViews, texture: BakedTexture, prompt: str) -> dict[str, float]:
    """Returns speckle and, of what the prompt names, the judge's mean probability over the six fixed views.

    Keys: speckle, and as far as they are named color and material.
    """
    image = views.render(texture)
    scores = {"speckle": float(chroma_noise_by_scale(image, views.mask, (1,))[1].mean())}
    color, material = named_in(prompt)
    colors, materials = judge.probabilities(judge_input(image, views.mask))
    if color is not None:
        scores["color"] = float(colors[:, judge.colors.index(color)].mean())
    if material is not None:
        scores["material"] = float(materials[:, judge.materials.index(material)].mean())
    return scores
