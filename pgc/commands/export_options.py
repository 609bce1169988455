# SPDX-License-Identifier: Apache-2.0
"""Options about exported files, which several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pgc.errors import ConfigError

if TYPE_CHECKING:
    from pgc.export.material import ExportConfig
    from pgc.export.packing import NormalGreen

__all__ = ["EngineOption", "FormatOption", "ModelsOption", "NormalsOption", "export_config"]

_PANEL = "Export"

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", help="Images as png (8 bits), png16, exr (half float) or exr32 (float).", rich_help_panel=_PANEL
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        help="Images packed and named for gltf, blender, godot, unreal, unity-hdrp or unity-urp; or separate.",
        rich_help_panel=_PANEL,
    ),
]
NormalsOption = Annotated[
    str | None,
    typer.Option(help="opengl (green up) or directx (green down); else as the engine has it.", rich_help_panel=_PANEL),
]
ModelsOption = Annotated[
    str | None,
    typer.Option(
        help="Files with mesh and maps: some of glb, obj, blend, usd, mtlx, with commas.", rich_help_panel=_PANEL
    ),
]


def export_config(
    image_format: str | None, engine: str | None, normals: str | None, models: str | None
) -> ExportConfig:
    """Returns the configuration that options ask for; None stands for an option that is not given.

    Raises:
        ConfigError: a name is unknown.
    """
    from pgc.export.material import ExportConfig, parse_models
    from pgc.export.packing import parse_packing
    from pgc.images.writing import parse_format

    return ExportConfig(
        image_format=parse_format(image_format or "png"),
        packing=parse_packing(engine or "separate"),
        normal_green=_normal_green(normals),
        models=parse_models("glb" if models is None else models),
    )


def _normal_green(name: str | None) -> NormalGreen | None:
    if name is None or name == "opengl" or name == "directx":
        return name
    raise ConfigError(f"There are no normals {name!r}; expected opengl or directx.")
