# SPDX-License-Identifier: Apache-2.0
"""`pgc transfer RUN TARGET --out DIR`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pgc.commands.export_options import EngineOption, FormatOption, ModelsOption, NormalsOption, export_config
from pgc.commands.finished_run import load_run
from pgc.errors import ConfigError
from pgc.terminal.failures import reports_failures

__all__ = ["transfer"]


@reports_failures
def transfer(  # noqa: PLR0913 - one parameter an option
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="Mesh in the same place, with other UVs or fewer polygons.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    texture_size: Annotated[int, typer.Option(help="Side of the new images, texels: a power of two.")] = 2048,
    reach: Annotated[
        float, typer.Option(help="How far the surfaces may lie apart, as a part of the mesh's extent.")
    ] = 0.02,
    up: Annotated[str | None, typer.Option(help="The target's up axis, y or z.")] = None,
    image_format: FormatOption = None,
    engine: EngineOption = None,
    normals: NormalsOption = None,
    models: ModelsOption = None,
) -> None:
    """Carries a run's maps over to another UV layout, or to a twin of its mesh.

    Normals are turned into the target's tangent frame, and hold what the two shapes differ by.
    """
    config = export_config(image_format, engine, normals, models)
    from pgc.baking.transfer import TransferConfig, TransferSource, in_space_of, transfer_maps
    from pgc.export.material import check_export, export_material
    from pgc.mesh import load_mesh, prepare_mesh
    from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

    check_export(out, config)
    settings = TransferConfig(size=texture_size, reach=reach, shape_normals=True)
    prepared, texture = load_run(run)
    mesh = load_mesh(target)
    if up == "y" or up == "z":
        mesh = replace(mesh, up_axis=up)
    elif up is not None:
        raise ConfigError(f"There is no up axis {up!r}; expected y or z.")
    twin = prepare_mesh(mesh)
    source = TransferSource(
        triangles=prepared.triangles,
        texture=texture,
        caster=WarpRasterizer(prepared.triangles, device="cpu"),
        repeat=prepared.report.needs_repeat,
    )
    report = twin.report
    done = transfer_maps(source, in_space_of(twin, prepared), settings, tiles=report.tiles, repeat=report.needs_repeat)
    for warning in report.warnings:
        typer.echo(f"Note: {warning}", err=True)
    if done.missed_fraction > 0.0:
        typer.echo(
            f"Note: {done.missed_fraction:.1%} of the texels found no surface within reach and were filled from their "
            "neighbours; a bigger --reach may find it.",
            err=True,
        )
    for path in export_material(out, twin, done.texture, config):
        typer.echo(path)
