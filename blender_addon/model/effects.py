# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done in Blender, or asked of the client, after an event or a click. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..client import JobPreview, JobShapePreview

__all__ = ["Deliver", "Effect", "Ended", "Follow", "Remember", "SendCancel", "ShowPreview", "ShowShape"]


@dataclass(frozen=True)
class Remember:
    """Write the server's name of the job into the .blend."""

    key: str


@dataclass(frozen=True, eq=False)
class ShowPreview:
    """Put a preview on the mesh."""

    key: str
    preview: JobPreview


@dataclass(frozen=True, eq=False)
class ShowShape:
    """Show a shape of a moment beside its object."""

    key: str
    preview: JobShapePreview


@dataclass(frozen=True)
class Deliver:
    """The job's maps are here: make a version of them."""

    key: str


@dataclass(frozen=True)
class Ended:
    """Nothing more comes: take the preview off, forget the job in the .blend."""

    key: str


@dataclass(frozen=True)
class SendCancel:
    """Have the server end a job."""

    job: str


@dataclass(frozen=True)
class Follow:
    """Attach to a job of before."""

    job: str


Effect: TypeAlias = Remember | ShowPreview | ShowShape | Deliver | Ended | SendCancel | Follow
