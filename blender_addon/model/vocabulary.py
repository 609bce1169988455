# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that the pocket model was trained on. The server tells its own list where it has one."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["GROUPS", "unknown_words"]

_SEPARATE = re.compile(r"[^\W\d_]+")


def _words(text: str) -> tuple[str, ...]:
    return tuple(_SEPARATE.findall(text))


GROUPS: dict[str, tuple[str, ...]] = {
    "Colors": _words(
        "azure black blue brown chocolate crimson cyan emerald golden gray green ivory orange pink purple red rose "
        "scarlet teal turquoise violet white yellow dark"
    ),
    "Materials": _words(
        "bricks wood planks marble cobblestone stone fabric plastic ceramic rubber metal rust paint camouflage scales"
    ),
    "Metals": _words("gold silver copper bronze brass steel iron chrome aluminium"),
    "Finishes": _words("polished brushed satin matte glossy wet rusty rough shiny"),
    "Patterns": _words("checkered striped spotted polka dots banded veined plain woven smooth"),
}
_MORE = (
    "a aluminum an and army asset back ball banded block bowl box brick brickwork built camo camouflaged capsule "
    "carved character checked checker checkerboard checkers checks chequered cloth cobble cobbled cobbles "
    "cobblestones column cone covered creature cube cup cylinder detailed donut dot dotted dragon dull egg figure "
    "fish flat from front game grain high image in jar light lighting made metallic mirror mug object of on "
    "overhead painted pattern photo picture pill plank pot pyramid quality rain render ring rusted scale scaled "
    "scaly sculpture shaded shape side soft solid sphere spots stainless statue stripes stripy studio surface "
    "textile texture the thing timber torus toy underside vase veins view wall with wooden wrapped"
)
_KNOWN = frozenset(word for group in GROUPS.values() for word in group) | frozenset(_words(_MORE))


def unknown_words(prompt: str, vocabulary: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the words of a prompt that the pocket model never saw, in order, each once."""
    known = frozenset(vocabulary) or _KNOWN
    words = _words(prompt.lower())
    return tuple(dict.fromkeys(word for word in words if word not in known))
