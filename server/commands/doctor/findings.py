# SPDX-License-Identifier: Apache-2.0
"""What a check of the doctor comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Grade", "failure", "ok", "warning"]


class Grade(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; `hint` says what to do where it is not ok."""

    name: str
    grade: Grade
    text: str
    hint: str = ""


def ok(name: str, text: str) -> Finding:
    """Returns the finding of a check where all is well."""
    return Finding(name, Grade.OK, text)


def warning(name: str, text: str, hint: str) -> Finding:
    """Returns a finding that does not keep jobs from running, with what to do about it."""
    return Finding(name, Grade.WARNING, text, hint)


def failure(name: str, text: str, hint: str) -> Finding:
    """Returns a finding that keeps jobs from running, with what to do about it."""
    return Finding(name, Grade.FAILURE, text, hint)
