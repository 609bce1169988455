# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that fit into a width, by the font's own measure. Without Blender."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["shortened", "wrapped"]

Measure = Callable[[str], float]


def wrapped(text: str, width: float, measure: Measure) -> list[str]:
    """Returns the text in lines of at most `width`, in the unit of `measure`; at least one line.

    Lines break at spaces. A word that is wider than a line, such as a path, is cut.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *cut, line = _cut(word, width, measure)
        lines += cut
    return [*lines, line] if line or not lines else lines


def shortened(text: str, width: float, measure: Measure) -> str:
    """Returns the text, or as much of its beginning as fits with an ellipsis."""
    if measure(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(f"{text[:middle].rstrip()}…") <= width:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low].rstrip()}…"


def _cut(word: str, width: float, measure: Measure) -> list[str]:
    pieces: list[str] = []
    while len(word) > 1 and measure(word) > width:
        count = len(word) - 1
        while count > 1 and measure(word[:count]) > width:
            count -= 1
        pieces.append(word[:count])
        word = word[count:]
    return [*pieces, word]
