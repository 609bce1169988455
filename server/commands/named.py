# SPDX-License-Identifier: Apache-2.0
"""`pgc-server models name` and `forget`: ControlNets and IP-Adapters that jobs then choose by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgc.errors import PgcError
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.errors import ConfigError
from server.storage.named_files import ADAPTER, NAMED_KINDS, NamedFile, NamedFiles
from server.storage.ownership import claim_data_folder

__all__ = ["forget", "name"]

Kind = Annotated[str, typer.Argument(help=f"What it is: {', '.join(NAMED_KINDS)}.")]
Name = Annotated[str, typer.Argument(help="What jobs call it: letters a-z, digits and . _ -")]


@reports_failures
def name(
    kind: Kind,
    key: Name,
    source: Annotated[
        Path, typer.Argument(help="Of a ControlNet its folder in diffusers' format; of an IP-Adapter its file.")
    ],
    data: Data = None,
) -> None:
    """Gives a ControlNet or an IP-Adapter of this machine a name, by which jobs may choose it."""
    place = source.absolute()
    named = NamedFile(kind, key, str(place))
    if kind == ADAPTER:
        _check_adapter(place)
    else:
        _check_controlnet(place)
    paths = paths_of(data)
    claim_data_folder(paths)
    NamedFiles(paths.models).add(named)
    typer.echo(f"Jobs may choose {kind} {key}. A running server lists it when its worker starts again.")


@reports_failures
def forget(kind: Kind, key: Name, data: Data = None) -> None:
    """Takes a name away; the files stay."""
    if not NamedFiles(paths_of(data).models).remove(kind, key):
        raise ConfigError(f"There is no {kind} of the name {key}; see: pgc-server models list")
    typer.echo(f"{kind} {key} is forgotten; its files stay.")


def _check_controlnet(folder: Path) -> None:
    # Torch takes seconds to import: only now.
    from pgc.guidance.sources import WHOLE_FOLDER, problem_of

    problem = problem_of(folder, WHOLE_FOLDER) if folder.is_dir() else f"{folder} is no folder."
    if problem is not None:
        raise ConfigError(f"{problem} Expected a ControlNet's folder, with config.json and safetensors.")


def _check_adapter(file: Path) -> None:
    from pgc.guidance.diffusion.added.headers import ip_adapter_encoder, ip_adapter_width, read_header

    try:
        header = read_header(file, "IP-Adapter", "SOURCE")
        ip_adapter_width(header)
        ip_adapter_encoder(header)
    except PgcError as error:
        raise ConfigError(str(error)) from error
