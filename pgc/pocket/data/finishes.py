# SPDX-License-Identifier: Apache-2.0
"""Lit materials of the second edition: metals, plastics, rust, and the procedural patterns under a finish.

Each is drawn with the words that name it, and gives base colour, roughness and metallic at surface points. Metals
carry their colour in the base colour, as the metallic-roughness model has it.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pgc.color_space import linear_from_srgb, srgb_from_linear
from pgc.pocket.data.captions import pick
from pgc.pocket.data.materials import MaterialName, MaterialParams, sample_material, shade_points
from pgc.pocket.data.noise import fractal_noise
from pgc.pocket.data.palette import COLORS, Rgb, jittered

__all__ = [
    "METALS",
    "FinishName",
    "LitMaterial",
    "PbrPoints",
    "draw_material",
    "draw_pattern",
    "material_points",
    "material_words",
]

Floats = NDArray[np.floating[Any]]
FinishName = Literal["polished", "glossy", "wet", "brushed", "matte", "bare"]
LitKind = Literal["metal", "rusty", "plastic", "pattern"]

_ROUGHNESS: dict[FinishName, tuple[float, float]] = {
    "polished": (0.06, 0.20), "glossy": (0.08, 0.22), "wet": (0.06, 0.20), "brushed": (0.36, 0.50),
    "matte": (0.74, 1.0), "bare": (0.45, 0.65),
}  # fmt: skip
_FINISH_WORDS: dict[FinishName, tuple[str, ...]] = {
    "polished": ("polished", "polished", "shiny", "mirror polished"),
    "glossy": ("glossy", "glossy", "shiny"),
    "wet": ("wet", "wet", "wet", "rain wet"),
    "brushed": ("brushed", "satin"),
    "matte": ("matte", "matte", "rough", "dull"),
    "bare": ("",),
}
# Reflectance at normal incidence, linear Rec. 709, rounded from published optical constants.
METALS: dict[str, Rgb] = {
    "gold": (1.00, 0.73, 0.32), "silver": (0.96, 0.95, 0.92), "copper": (0.95, 0.62, 0.50),
    "bronze": (0.72, 0.47, 0.25), "brass": (0.90, 0.74, 0.40), "steel": (0.60, 0.59, 0.57),
    "iron": (0.50, 0.49, 0.48), "chrome": (0.68, 0.69, 0.70), "aluminium": (0.91, 0.91, 0.92),
}  # fmt: skip
_METAL_WORDS = {"aluminium": ("aluminium", "aluminum"), "steel": ("steel", "steel", "stainless steel")}
# Which patterns are drawn, which finishes suit them, and what they look like where no colour is named (sRGB).
_PATTERNS: dict[MaterialName, tuple[FinishName, ...]] = {
    "cobblestone": ("wet", "wet", "matte", "bare"), "brick": ("wet", "matte", "bare", "glossy"),
    "wood": ("polished", "glossy", "wet", "matte", "bare"), "marble": ("polished", "polished", "matte", "bare"),
    "fabric": ("matte", "bare", "wet"), "scales": ("glossy", "wet", "matte", "bare"),
    "checker": ("glossy", "matte", "bare"), "stripes": ("glossy", "matte", "bare"), "dots": ("glossy", "matte", "bare"),
    "camouflage": ("matte", "bare"),
}  # fmt: skip
_PATTERN_WORDS: dict[MaterialName, tuple[str, ...]] = {
    "cobblestone": ("cobblestone", "cobblestone", "cobblestones", "cobbled"), "brick": ("brick", "bricks"),
    "wood": ("wood", "wooden"), "marble": ("marble",), "fabric": ("fabric", "woven fabric"), "scales": ("scales",),
    "checker": ("checkered",), "stripes": ("striped",), "dots": ("polka dot",), "camouflage": ("camouflage",),
}  # fmt: skip
_NATURAL: dict[MaterialName, Rgb] = {
    "cobblestone": (0.52, 0.50, 0.48), "brick": (0.60, 0.27, 0.19), "wood": (0.56, 0.36, 0.20),
    "marble": (0.92, 0.91, 0.89),
}  # fmt: skip
# Nouns of plain coloured things, and the roughness of each where no finish is named.
_PLAIN_NOUNS: dict[str, tuple[float, float]] = {
    "plastic": (0.35, 0.55), "paint": (0.35, 0.6), "ceramic": (0.1, 0.25), "rubber": (0.75, 0.95)
}  # fmt: skip
_BARE_METAL = (0.22, 0.42)


@dataclass(frozen=True)
class LitMaterial:
    """One drawn material. ``words`` is a noun phrase without an article ("matte blue plastic")."""

    kind: LitKind
    words: str
    finish: FinishName
    roughness: float
    metallic: float
    tone: Rgb
    """Base colour, sRGB, where there is no pattern."""
    pattern: MaterialParams | None = None
    wetness: float = 0.0
    """How much water darkens the base colour, as a share of its linear value."""
    noise_seed: int = 0


@dataclass(frozen=True)
class PbrPoints:
    """The values of a material at N points."""

    base_color: Floats  # [N, 3], sRGB in [0, 1]
    roughness: Floats  # [N]
    metallic: Floats  # [N]


def _srgb(linear: Floats) -> Floats:
    return srgb_from_linear(torch.from_numpy(np.asarray(linear, np.float32))).numpy()


def _rgb(values: Floats) -> Rgb:
    red, green, blue = (float(value) for value in np.clip(values, 0.0, 1.0))
    return (red, green, blue)


def _finish(rng: np.random.Generator, options: tuple[FinishName, ...]) -> tuple[FinishName, str, float]:
    """(finish, its word, its roughness)."""
    finish = options[int(rng.integers(len(options)))]
    return finish, pick(rng, _FINISH_WORDS[finish]), float(rng.uniform(*_ROUGHNESS[finish]))


def _phrase(*words: str) -> str:
    return " ".join(word for word in words if word)


def _metal(rng: np.random.Generator) -> LitMaterial:
    finish, word, roughness = _finish(rng, ("polished", "polished", "brushed", "matte", "bare"))
    if finish == "bare":
        roughness = float(rng.uniform(*_BARE_METAL))
    if rng.random() < 0.25:
        color = COLORS[int(rng.integers(len(COLORS)))]
        words = _phrase(word, color, "metal") if rng.random() < 0.6 else _phrase(word, "metallic", color)
        return LitMaterial("metal", words, finish, roughness, 1.0, jittered(rng, color))
    # Gold is what most people ask for.
    names = ("gold", *METALS)
    name = names[int(rng.integers(len(names)))]
    linear = np.asarray(METALS[name]) * rng.uniform(0.92, 1.0) * rng.uniform(0.97, 1.03, 3)
    noun = pick(rng, _METAL_WORDS.get(name, (name,)))
    return LitMaterial("metal", _phrase(word, noun), finish, roughness, 1.0, _rgb(_srgb(np.minimum(linear, 1.0))))


def _rusty(rng: np.random.Generator) -> LitMaterial:
    noun = pick(rng, ("iron", "iron", "steel", "metal"))
    word = pick(rng, ("rusty", "rusty", "rusted"))
    tone = _rgb(_srgb(np.asarray(METALS["iron"]) * rng.uniform(0.55, 0.85)))
    seed = int(rng.integers(1, 2**20))
    return LitMaterial("rusty", f"{word} {noun}", "matte", float(rng.uniform(0.45, 0.6)), 1.0, tone, noise_seed=seed)


def _plastic(rng: np.random.Generator) -> LitMaterial:
    finish, word, roughness = _finish(rng, ("matte", "matte", "glossy", "bare"))
    noun = pick(rng, ("plastic", "plastic", "plastic", "paint", "ceramic", "rubber"))
    if finish == "bare":
        roughness = float(rng.uniform(*_PLAIN_NOUNS[noun]))
    color = COLORS[int(rng.integers(len(COLORS)))]
    words = _phrase(word, color, noun) if rng.random() < 0.8 else _phrase(color, word, noun)
    return LitMaterial("plastic", words, finish, roughness, 0.0, jittered(rng, color))


def _natural(params: MaterialParams, tone: Rgb, level: float) -> MaterialParams:
    main = _rgb(np.asarray(tone) * level)
    third = _rgb(np.asarray(main) * 0.42)
    second = (0.45, 0.44, 0.43) if params.material == "marble" else (0.72, 0.70, 0.66)
    return replace(params, main=main, second=second, third=third)


def draw_pattern(rng: np.random.Generator, cobblestone: int = 4) -> LitMaterial:
    """Draws a pattern under a finish; ``cobblestone`` is how often that one counts, which is most often wet."""
    stones: list[MaterialName] = ["cobblestone"] * (cobblestone - 1)
    names: tuple[MaterialName, ...] = (*stones, *_PATTERNS)
    name = names[int(rng.integers(len(names)))]
    finish, word, roughness = _finish(rng, _PATTERNS[name])
    color = COLORS[int(rng.integers(len(COLORS)))]
    said = color
    params = sample_material(rng, color, name)
    if name in _NATURAL and rng.random() < 0.5:
        said = "gray" if name == "cobblestone" and rng.random() < 0.3 else ""
        params = _natural(sample_material(rng, "white", name), _NATURAL[name], float(rng.uniform(0.85, 1.08)))
    words = _phrase(word, said, pick(rng, _PATTERN_WORDS[name]))
    wetness = float(rng.uniform(0.25, 0.45)) if finish == "wet" else 0.0
    return LitMaterial("pattern", words, finish, roughness, 0.0, params.main, params, wetness)


def draw_material(rng: np.random.Generator) -> LitMaterial:
    """Draws one material; the four kinds in shares of 35, 12, 21 and 32 %."""
    kind = rng.random()
    if kind < 0.35:
        return _metal(rng)
    if kind < 0.47:
        return _rusty(rng)
    return _plastic(rng) if kind < 0.68 else draw_pattern(rng, cobblestone=2)


def _rust_points(material: LitMaterial, positions: Floats) -> PbrPoints:
    """Iron under rough orange-brown patches, which cover most of it: rust is no metal, and rough."""
    seed = material.noise_seed
    patch = fractal_noise(positions * np.float32(2.8), seed, 4)
    rough = fractal_noise(positions * np.float32(16.0) + 20.0, seed + 11, 2)
    grain = np.clip((rough - 0.5) * 3.0 + 0.5, 0.0, 1.0)[:, None]
    rust = np.asarray([0.62, 0.30, 0.11]) * (1.0 - grain) + np.asarray([0.30, 0.14, 0.07]) * grain
    share = np.clip((patch + 0.10 * (rough - 0.5) - 0.43) / 0.05, 0.0, 1.0)
    color = np.asarray(material.tone) * (1.0 - share[:, None]) + rust * share[:, None]
    return PbrPoints(
        base_color=color.astype(np.float32),
        roughness=(material.roughness * (1.0 - share) + 0.92 * share).astype(np.float32),
        metallic=(1.0 - share).astype(np.float32),
    )


def material_points(material: LitMaterial, positions: Floats, normals: Floats) -> PbrPoints:
    """Returns a material's values at points [N, 3] with unit normals [N, 3], in the axes of ``shade_points``."""
    if material.kind == "rusty":
        return _rust_points(material, positions)
    count = len(positions)
    if material.pattern is None:
        color = np.broadcast_to(np.asarray(material.tone, np.float32), (count, 3))
    else:
        color = shade_points(material.pattern, positions, normals)
    if material.wetness:
        color = _srgb(linear_from_srgb(torch.from_numpy(color)).numpy() * (1.0 - material.wetness))
    roughness, metallic = (np.full(count, value, np.float32) for value in (material.roughness, material.metallic))
    return PbrPoints(color, roughness, metallic)


def material_words(part: Literal["finish", "material", "color"]) -> tuple[str, ...]:
    """Returns all phrases that name a finish, a material or a colour here."""
    match part:
        case "finish":
            return tuple(word for words in _FINISH_WORDS.values() for word in words)
        case "material":
            metals = [word for name in METALS for word in _METAL_WORDS.get(name, (name,))]
            patterns = [word for words in _PATTERN_WORDS.values() for word in words]
            return (*metals, *patterns, *_PLAIN_NOUNS, "metal", "metallic", "rusty", "rusted")
        case "color":
            return (*COLORS, "gray")
