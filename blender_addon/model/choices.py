# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chooses from: presets, sizes, maps, targets, cameras; and what they cost. Without Blender."""

from __future__ import annotations

from collections.abc import Iterable

from ..protocol.limits import Limits
from ..protocol.records import ModelInfo
from ..protocol.specs.job import LIT_MAPS
from .maps import MAPS
from .state import AppState

__all__ = [
    "CAMERAS",
    "MAP_ITEMS",
    "MODEL_NAMES",
    "PRESETS",
    "SIZES",
    "TARGETS",
    "cost_text",
    "duration",
    "expected_steps",
    "limit_figures",
    "model_note",
    "need_light",
]

PRESETS = (
    ("draft", "Draft", "Half the steps of Standard: for trying prompts"),
    ("standard", "Standard", "The usual number of steps"),
    ("fine", "Final", "Twice the steps of Standard: for the one that you keep"),
)
_SCALE = {"draft": 0.5, "standard": 1.0, "fine": 2.0}
_POCKET_STEPS = 170
_WARM_STEPS, _REFINING_STEPS = 6, (70, 100)
"""Of a texture that begins with views that are painted together, unlit and lit; presets scale the latter."""
SIZES = tuple((str(size), f"{size} px", f"{size} x {size} pixels") for size in (256, 512, 1024, 2048, 4096))
MAP_ITEMS = tuple((row.name, row.title, row.description, row.icon, row.flag) for row in MAPS.values())
"""Buttons of the maps, as Blender's EnumProperty takes them."""
TARGETS = (
    ("object", "Whole Object", "All faces of the active object", "OBJECT_DATA", 0),
    ("selected_faces", "Selected Faces", "The faces that are selected in Edit Mode; the others stay", "FACESEL", 1),
    ("slot", "Material Slot", "The faces of the active material slot; the others stay", "MATERIAL", 2),
    ("objects", "Selected Objects", "All selected meshes in one style, each with a texture of its own", "GROUP", 3),
)
CAMERAS = (
    ("sphere", "All Around", "Views from everywhere, underside included", "SPHERE", 0),
    ("scene", "Scene Cameras", "The cameras of the scene; what none of them sees is filled in", "CAMERA_DATA", 1),
    ("view", "Current View", "As the 3D view looks now; what it does not see is filled in", "VIEW3D", 2),
    ("rig", "Camera Rig", "Cameras of a collection, which you can move", "OUTLINER_COLLECTION", 3),
    ("paper", "Belt", "Around the object, as in the PGC paper; what no view sees is filled in", "MESH_TORUS", 4),
    ("stages", "Belt, Closer and Closer", "Around the object, with longer lenses as the run goes on", "MESH_CONE", 5),
    ("close-ups", "All Around and Details", "Views from everywhere, some of them of a part", "VIEWZOOM", 6),
)
MODEL_NAMES = {
    "pocket": "Built-In",
    "sd15": "Stable Diffusion 1.5",
    "sd21": "Stable Diffusion 2.1",
    "sdxl": "Stable Diffusion XL",
    "sd35": "Stable Diffusion 3.5",
    "flux": "FLUX.1 schnell",
    "z-image": "Z-Image",
}
"""Of the models that an artist may choose; `oracle` is for tests."""
_MODEL_STATES = {
    "installed": ("", "CHECKMARK"),
    "missing": ("needs a download on the server", "IMPORT"),
    "too_big": ("too big for the server's graphics card", "ERROR"),
}


def expected_steps(state: AppState, model: str, preset: str, *, lit: bool = False, anew: bool = True) -> int | None:
    """Says how many steps a preset takes: as the last job was told, or scaled from another preset's; None: unknown.

    Args:
        lit: whether its maps need light.
        anew: whether it begins with views that are painted together; else there are only steps of one kind.
    """
    if not anew:
        return round(_POCKET_STEPS * _SCALE[preset]) if model == "pocket" else None
    if (model, preset, lit) in state.steps:
        return state.steps[model, preset, lit]
    if model == "pocket":
        return _WARM_STEPS + round(_REFINING_STEPS[lit] * _SCALE[preset])
    for (known, other, light), steps in state.steps.items():
        if (known, light) == (model, lit):
            return round(steps * _SCALE[preset] / _SCALE[other])
    return None


def need_light(maps: Iterable[str]) -> bool:
    """Says whether only light shows some of these maps: a server finds them anew, and its steps take longer."""
    return not LIT_MAPS.isdisjoint(maps)


def cost_text(
    state: AppState,
    *,
    model: str,
    preset: str,
    size: int,
    steps: int = 0,
    lit: bool = False,
    strength: float | None = 1.0,
) -> str:
    """Says what a texture costs, as far as known: its steps, and from the last job's time how long they take.

    Args:
        steps: that were chosen instead of the preset's; 0: none were.
        lit: whether its maps need light.
        strength: of a start from a texture; below 1 fewer of the preset's steps are taken. None: all is new, and
            begins otherwise than the model does by itself (`conditions.starts.begins_as_usual`).
    """
    count = steps or expected_steps(state, model, preset, lit=lit, anew=strength is not None and strength >= 1.0)
    if count is not None and not steps:
        count = max(1, round(count * (1.0 if strength is None else strength)))
    if count is None:
        return f"{_SCALE[preset]:g} x the model's own number of steps"
    per_step = state.seconds_per_step.get((model, size, lit))
    if per_step is None:
        # A step's time hardly depends on the texture's size, so that another size is better than nothing.
        times = state.seconds_per_step.items()
        per_step = next((time for (known, _, light), time in times if (known, light) == (model, lit)), None)
    return f"{count} steps" if per_step is None else f"{count} steps, about {duration(per_step * count)}"


def duration(seconds: float) -> str:
    """Says seconds as an artist says them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def model_note(key: str, info: ModelInfo | None) -> tuple[str, str]:
    """Returns what is said of a model in the list, and its icon; only of those that are ready is nothing said.

    Args:
        info: what the server says of it; None: nothing yet.
    """
    if info is None:
        # The built-in one comes with every server.
        return ("", "CHECKMARK") if key == "pocket" else ("not known yet whether the server has it", "QUESTION")
    note, icon = _MODEL_STATES[info.state]
    return info.note or note, icon


def limit_figures(limits: Limits) -> tuple[str, str, str]:
    """Returns how many triangles, texels and bytes a job may have on a server, as text; "": not told."""
    texels = _millions(limits.job_texels) if limits.job_texels else ""
    return _millions(limits.triangles), texels, _gigabytes(limits.job_bytes) if limits.job_bytes else ""


def _millions(count: int) -> str:
    # Rounded down: what is said must be allowed.
    return f"{count:,}" if count < 10_000 else f"{count // 10_000 / 100:g} M"


def _gigabytes(size: int) -> str:
    return f"{size // 100_000_000 / 10:.1f} GB"
