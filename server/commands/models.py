# SPDX-License-Identifier: Apache-2.0
"""`pgc-server models`: which priors the server has, getting, checking and removing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands.failures import reports_failures
from server.commands.named import forget, name
from server.commands.options import Data, JsonOutput, paths_of
from server.storage.named_files import NamedFile, NamedFiles
from server.storage.ownership import claim_data_folder
from server.worker.model_store import ModelError, ModelStore, Source, check_key

if TYPE_CHECKING:
    from pgc.guidance.models import KnownModel

__all__ = ["app"]

app = typer.Typer(name="models", help="The diffusion priors of the server.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="Key of a model, as `pgc-server models list` shows it; never a path.")]


def _known() -> dict[str, KnownModel]:
    # Torch takes seconds to import: only now.
    from pgc.guidance.models import ALL_MODELS

    return {str(model.key): model for model in ALL_MODELS}


def _find(key: str) -> tuple[KnownModel, list[Source]]:
    """A model that can be pulled. Raises ModelError for anything else."""
    known = _known()
    model = known[check_key(key, tuple(known))]
    if not model.downloads:
        raise ModelError(f"{key} comes with pgc: there is nothing to pull, check or remove.")
    return model, [Source(files.hub_id, files.patterns) for files in model.downloads]


@app.command("list")
@reports_failures
def list_models(data: Data = None, as_json: JsonOutput = False) -> None:
    """Lists the models that there are, and says which are installed."""
    from pgc.guidance.models import is_model_installed

    store = ModelStore(paths_of(data).models)
    rows: list[dict[str, object]] = []
    for key, model in _known().items():
        own = bool(model.downloads) and is_model_installed(model, cache_dir=store.root)
        state = "in the server" if own else "in the user's cache" if is_model_installed(model) else "not installed"
        state = "with pgc" if not model.downloads and state != "not installed" else state
        rows.append({"key": key, "title": model.title, "state": state, "gigabytes": model.download_gb})
    named = NamedFiles(store.root).all()
    if as_json:
        given = [{"key": f"{one.kind}:{one.key}", "title": one.source, "state": _place(one)} for one in named]
        typer.echo(json.dumps([*rows, *given], indent=2))
        return
    for one in named:
        typer.echo(f"{one.kind:<8} {one.key}: {one.source}{'' if one.is_there else ' (missing)'}")
    for row in rows:
        size = f", {row['gigabytes']} GB to download" if row["state"] == "not installed" else ""
        typer.echo(f"{row['key']:<8} {row['title']}: {row['state']}{size}")


def _place(named: NamedFile) -> str:
    return "named" if named.is_there else "missing"


app.command("name")(name)
app.command("forget")(forget)


@app.command()
@reports_failures
def pull(key: Key, data: Data = None) -> None:
    """Fetches a model from the hub: safetensors only, every file hashed."""
    model, sources = _find(key)
    typer.echo(f"{model.title}: about {model.download_gb:.1f} GB; licence {model.license}.")
    paths = paths_of(data)
    claim_data_folder(paths)
    files = ModelStore(paths.models).pull(key, sources, typer.echo)
    typer.echo(f"{key} is installed: {len(files)} files, {sum(file.size for file in files) / 1e9:.1f} GB.")


@app.command()
@reports_failures
def remove(key: Key, data: Data = None) -> None:
    """Deletes a model that was pulled into the server."""
    _model, sources = _find(key)
    if not ModelStore(paths_of(data).models).remove(key, sources):
        raise ModelError(f"{key} is not in the server; what is in the user's own cache stays.")
    typer.echo(f"{key} is removed.")


@app.command()
@reports_failures
def verify(key: Key, data: Data = None) -> None:
    """Hashes all files of a model again. Exit code 1 where one has changed."""
    _find(key)
    problems = ModelStore(paths_of(data).models).verify(key, typer.echo)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        typer.echo(f"{key} is damaged; run: pgc-server models pull {key}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{key}: all files are as they were pulled.")
