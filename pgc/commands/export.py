# SPDX-License-Identifier: Apache-2.0
"""`pgc export RUN --out DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgc.commands.export_options import EngineOption, FormatOption, ModelsOption, NormalsOption, export_config
from pgc.commands.finished_run import load_run
from pgc.terminal.failures import reports_failures

__all__ = ["export"]


@reports_failures
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    image_format: FormatOption = None,
    engine: EngineOption = None,
    normals: NormalsOption = None,
    models: ModelsOption = None,
) -> None:
    """Writes a run's maps as an engine wants them, and as GLB, OBJ or .blend.

    What lies in a run's folder has 8 bits a channel; for more, give --format to `pgc texture` itself.
    """
    config = export_config(image_format, engine, normals, models)
    from pgc.export.material import check_export, export_material

    check_export(out, config)
    prepared, texture = load_run(run)
    for path in export_material(out, prepared, texture, config):
        typer.echo(path)
