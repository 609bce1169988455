# SPDX-License-Identifier: Apache-2.0
"""What a prior with a small vocabulary knows, and what to tell someone who asks for more."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pgc.errors import GuidanceError
from pgc.pocket.data.captions import unknown_words

__all__ = ["Vocabulary"]

_UNTRAINED = "untrained"
# Groups worth listing; the rest is grammar.
_LISTED = ("colors", "materials", "shapes")
_GRAMMAR = frozenset(
    ["a", "an", "and", "built", "carved", "covered", "from", "in", "made", "of", "painted", "with", "wrapped"]
)
_CLOSE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Words by group, as the prior's vocabulary.json holds them."""

    groups: Mapping[str, tuple[str, ...]]

    @staticmethod
    def load(path: Path) -> Vocabulary:
        """Reads a vocabulary.json.

        Raises:
            GuidanceError: the file is missing or is not an object of lists of words.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GuidanceError(
                f"The vocabulary {path} cannot be read ({error}); install the package again."
            ) from error
        if not isinstance(raw, dict) or not all(
            isinstance(words, list) and all(isinstance(word, str) for word in words) for words in raw.values()
        ):
            raise GuidanceError(f"{path} is no vocabulary; expected groups of words, as in {{'colors': ['red']}}.")
        return Vocabulary(groups=MappingProxyType({str(name): tuple(words) for name, words in raw.items()}))

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns the words of the prompt that training never saw, in order, once each."""
        return tuple(unknown_words(prompt, {name: list(words) for name, words in self.groups.items()}))

    def suggestions(self, word: str) -> tuple[str, ...]:
        """Returns up to three known words that are spelt alike, best first."""
        known = sorted({known for name, words in self.groups.items() if name != _UNTRAINED for known in words})
        return tuple(difflib.get_close_matches(word.lower(), known, n=3, cutoff=_CLOSE))

    def message(self, prompt: str) -> str | None:
        """Says which words of the prompt are unknown, what they may have meant, and what is known; None if all are
        known."""
        unknown = self.unknown_words(prompt)
        if not unknown:
            return None
        hints = [
            f"{word} (did you mean {' or '.join(close)}?)" if (close := self.suggestions(word)) else word
            for word in unknown
        ]
        lines = [
            f"The pocket prior does not know: {', '.join(hints)}. It runs all the same, guided by the other words."
        ]
        for name in _LISTED:
            telling = [word for word in self.groups.get(name, ()) if word not in _GRAMMAR]
            if telling:
                lines.append(f"It knows {name}: {', '.join(telling)}.")
        return "\n".join(lines)
