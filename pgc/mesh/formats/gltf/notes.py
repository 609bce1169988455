# SPDX-License-Identifier: Apache-2.0
"""Counts what a reader tolerated or left out, for one sentence each."""

from dataclasses import dataclass, field

__all__ = ["NoteCounts"]


@dataclass(slots=True)
class NoteCounts:
    """Sentences with a count, in the order of their first appearance."""

    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, sentence: str, count: int = 1) -> None:
        """Adds to the count of a sentence, which says "{count}" where the number goes; 0 adds nothing."""
        if count > 0:
            self._counts[sentence] = self._counts.get(sentence, 0) + count

    def sentences(self) -> tuple[str, ...]:
        """Returns each sentence once, with its count."""
        return tuple(sentence.replace("{count}", f"{count:,}") for sentence, count in self._counts.items())
