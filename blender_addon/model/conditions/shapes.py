# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a new shape, and what has to be known of its mesh when the answer comes. Without Blender."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from ...protocol.specs.shape import ShapeSpec

__all__ = ["FROM_PROMPT", "GEOMETRIES", "LOSSES", "NOWHERE", "STARTS", "SUFFIX", "VIEWERS", "ShapeTask"]
__all__ += ["operator_of", "shape_wish"]

SUFFIX: Final = "Refined"
"""What a new shape's name has beside that of the object that it came from."""
FROM_PROMPT: Final = "New Object"
"""What a job is called that has no object."""
NOWHERE: Final = -1
"""The `session_uid` of the object of such a job."""
_USUAL_RATE: Final = 0.01
LOSSES: Final = (
    (
        "rgb",
        "Colors",
        "The model judges shaded colors; the built-in one knows these alone",
        "SHADING_RENDERED",
        0,
    ),
    ("normal", "Normals", "The model judges pictures of normals: shape alone", "NORMALS_FACE", 1),
    ("both", "Both", "The model judges both in each step, which takes twice as long", "SHADING_TEXTURE", 2),
)
GEOMETRIES: Final = (
    ("offsets", "Move Vertices", "The mesh's own vertices move; faces, UVs and materials stay", "VERTEXSEL", 0),
    ("dmtet", "Grid", "A surface in a grid, which may split and join; it has faces of its own", "MESH_GRID", 1),
)
STARTS: Final = (
    (
        "dmtet",
        "Outline",
        "The picture's outline, turned round; its surface may split and join",
        "MESH_GRID",
        0,
    ),
    ("volume", "Volume", "A volume, which may have any shape; for strong graphics cards", "OUTLINER_OB_VOLUME", 1),
    (
        "offsets",
        "Active Mesh",
        "The active mesh stays; a copy whose vertices move comes beside it",
        "MESH_DATA",
        2,
    ),
)
"""What a new object from a picture begins as."""
VIEWERS: Final = (
    ("zero123", "Zero123", "It judges all sides by the picture; it has to be on the server", "HIDE_OFF", 0),
    (
        "prompt",
        "Prompt's Model",
        "The panel's model, by the prompt; the picture is compared from the front",
        "TEXT",
        1,
    ),
)
"""Who judges a new object from a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeTask:
    """A mesh as it was sent.

    Args:
        digest: of its polygons and positions; turn: its object's rotation and scale, nine numbers row by row.
        picture: name of the picture that it came from, where it did.
    """

    digest: str
    turn: tuple[float, ...]
    picture: str = ""

    @property
    def imagined(self) -> bool:
        """Whether there was no mesh: it came from the prompt or a picture alone."""
        return not self.digest

    @staticmethod
    def of_nothing(picture: str = "") -> ShapeTask:
        """Returns what stands for a mesh where there is none."""
        return ShapeTask(digest="", turn=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), picture=picture)

    @property
    def operator(self) -> str:
        """What asks for such a one again."""
        return "pgc.imagine_picture" if self.picture else "pgc.imagine" if self.imagined else "pgc.refine_shape"

    def written(self) -> str:
        """Returns it as text, for a file."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> ShapeTask | None:
        """Returns what `written` wrote; None for anything else."""
        try:
            told: Any = json.loads(text)
            turn = tuple(float(value) for value in told["turn"])
            # Files of earlier versions name no picture.
            task = ShapeTask(digest=str(told["digest"]), turn=turn, picture=str(told.get("picture", "")))
            return task if len(turn) == 9 else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def shape_wish(*, loss: str, geometry: str, subdivide: int, cubes: int, strength: float, hold: bool) -> ShapeSpec:
    """Returns the panel's choices as a job has them.

    Args:
        subdivide: for offsets; cubes: for a grid. strength: 1 as usual; how far a step goes.

    Raises:
        FieldError: they do not go together.
    """
    grid = geometry == "dmtet"
    chosen: dict[str, Any] = {"loss": loss, "geometry": geometry, "hold": hold}
    return ShapeSpec(
        **chosen,
        cubes=cubes if grid else None,
        subdivide=0 if grid else subdivide,
        learning_rate=None if strength == 1.0 else _USUAL_RATE * strength,
    )


def operator_of(written: str) -> str:
    """Returns the operator that asks again for what a request's `shape` says."""
    task = ShapeTask.read(written)
    return "pgc.refine_shape" if task is None else task.operator
