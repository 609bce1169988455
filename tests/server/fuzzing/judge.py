# SPDX-License-Identifier: Apache-2.0
"""What a fuzzer of the server is, and the judge of what comes out of its cases.

Case k of a seed is always the same, so that a case that was found is found again by its number.
"""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Judge", "Target", "WrongError", "contents", "lost"]

LONGEST_SENTENCE = 700
ROOT = Path(__file__).resolve().parents[3]


class WrongError(Exception):
    """A promise that was broken; the text says which."""


class Target(Protocol):
    """Something that is fed with damaged input."""

    def case(self, number: int) -> Sequence[str]:
        """Runs a case; returns what came of each of its parts, in a word or two. Raises WrongError, or whatever else
        should not have come out."""
        ...

    def close(self) -> None:
        """Lets go of files."""
        ...


class Judge:
    """Runs cases, and keeps those whose outcome must not be: any exception, or more than `limit` seconds of the
    processor."""

    def __init__(self, target: Target, *, limit: float = 2.0) -> None:
        self._target, self._limit = target, limit
        self.outcomes: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []
        self.slowest = 0.0
        self.parts = 0

    def look(self, number: int) -> None:
        """One case."""
        started = time.process_time()
        try:
            outcomes = self._target.case(number)
        except WrongError as error:
            self._failed(number, str(error))
        except Exception:  # noqa: BLE001 - any of them is what is looked for
            # Without where the repository lies on this machine: results are for others.
            text = traceback.format_exc().replace(f"{ROOT}{os.sep}", "")
            lines = [line.strip() for line in text.strip().splitlines()]
            self._failed(number, f"{lines[-1][:300]} | {' | '.join(lines[-9:-1])}")
        else:
            self.outcomes.update(outcomes)
            self.parts += len(outcomes)
        seconds = time.process_time() - started
        self.slowest = max(self.slowest, seconds)
        if seconds > self._limit:
            self._failed(number, f"{seconds:.1f} s of the processor")

    def _failed(self, number: int, what: str) -> None:
        self.failures.append({"case": number, "what": what})
        self.outcomes["failed"] += 1
        self.parts += 1


def sentence(error: Exception) -> str:
    """The text of an error that a person reads. Raises WrongError where it is none."""
    text = str(error)
    if not text or "\n" in text or len(text) > LONGEST_SENTENCE or "Traceback" in text:
        raise WrongError(f"no sentence: {text[:LONGEST_SENTENCE]!r}")
    return text


def contents(root: Path) -> dict[str, str]:
    """Every file under a folder: its path, and the hash of its bytes (of a link: where it leads)."""
    found: dict[str, str] = {}
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            found[path.relative_to(root).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def lost(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Files whose bytes are nowhere any more, not even in quarantine."""
    there = Counter(after.values())
    return sorted(path for path, digest in before.items() if not there[digest])
