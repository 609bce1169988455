# SPDX-License-Identifier: Apache-2.0
"""`pgc uvs MESH`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgc.terminal.failures import reports_failures

if TYPE_CHECKING:
    from blender_addon.uv_measure import UvJudgement, UvMeasure

__all__ = ["uvs"]


@reports_failures
def uvs(
    mesh: Annotated[Path, typer.Argument(help="OBJ, GLB, glTF, PLY or STL file.", show_default=False)],
    picture: Annotated[
        Path | None, typer.Option(help="PNG of the layout: density, shared texels. Default: MESH.uvs.png here.")
    ] = None,
    texture_size: Annotated[int, typer.Option(help="Side of the texture that densities are told for, texels.")] = 2048,
) -> None:
    """Says what a mesh's UVs can carry, and draws their texel density.

    Gray is the median density, green finer, blue coarser; yellow texels serve mirrored or stacked parts, red ones
    places that should differ; dark ones are free.
    """
    import torch

    from blender_addon.uv_measure import density_picture, judge_uvs
    from pgc.images.maps import encode_png
    from pgc.mesh import load_mesh, triangulate
    from pgc.mesh.uvs.policy import measure_mesh
    from pgc.whole_files import write_bytes

    loaded = load_mesh(mesh)
    triangles = triangulate(loaded)
    measure, faces = measure_mesh(loaded, triangles)
    judgement = judge_uvs(measure)
    for note in loaded.notes:
        typer.echo(f"Note: {note}", err=True)
    for name, value in _rows(measure, judgement, texture_size):
        typer.echo(f"{name:<34} {value}")
    if measure.faces_without < measure.faces:
        target = Path(f"{mesh.stem}.uvs.png") if picture is None else picture
        drawn = density_picture(triangles.corner_uvs, faces, measure.density_median, 1024)
        write_bytes(target, encode_png(torch.from_numpy(drawn).permute(2, 0, 1)))
        typer.echo(f"{'Picture':<34} {target}")


def _rows(measure: UvMeasure, judgement: UvJudgement, size: int) -> list[tuple[str, str]]:
    """The table in plain words."""
    remedies = {
        "keep": "textured as they are",
        "fill": "only the faces without usable UVs get new ones",
        "new": "a new UV map is made beside them",
    }
    rows = [
        ("Verdict", judgement.few_words or judgement.sentence or "good"),
        ("pgc texture", remedies[judgement.remedy.value]),
        ("Triangles, without UVs", f"{measure.faces:,}, {measure.faces_without:,}"),
    ]
    if measure.faces_without == measure.faces:
        return rows
    tiles = "one tile" if measure.tiles == 1 else f"{measure.tiles} UDIM tiles"
    return [
        *rows,
        ("Charts", f"{measure.charts:,} in {tiles}"),
        ("Surface without UVs", f"{measure.area_without:.1%}"),
        ("Surface with collapsed UVs", f"{measure.area_collapsed:.1%}"),
        ("Surface that repeats texels", f"{measure.area_tiled:.1%}"),
        ("Surface that overlaps other parts", f"{measure.area_crossed:.1%}"),
        ("Surface mirrored or stacked", f"{measure.area_stacked:.1%}"),
        ("Texture in use", f"{measure.used:.1%}"),
        ("Places a texel serves", f"{measure.uses_mean:.1f} (most: {measure.uses_most:,})"),
        (f"Texels a unit, texture of {size}", f"median {_figure(measure.density_median * size)}, "
         f"least {_figure(measure.density_least * size)}"),
    ]  # fmt: skip


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
