# SPDX-License-Identifier: Apache-2.0
"""`pgc texture MESH --prompt "…" --out DIR`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pgc.commands.choice_options import (
    ControlModelOption,
    EmbeddingOption,
    IpAdapterOption,
    LoraOption,
    ReferenceOption,
    takes_choices,
)
from pgc.commands.export_options import EngineOption, FormatOption, ModelsOption, NormalsOption, export_config
from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.offers import read_control_models, read_embeddings, read_loras
from pgc.runs.view_prompts import read_view_prompts
from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from pgc.runs.folder import OutputConfig, RunFolder
    from pgc.runs.request import TextureRun
    from pgc.runs.runner import RunOutcome

__all__ = ["texture"]

_PRIOR = "Prior"
_MESH = "Mesh"
_START = "Start from a texture"
_OUTPUT = "Pictures"
_SERVER = "Server"


@reports_failures
@takes_choices
def texture(  # noqa: PLR0913 - one parameter an option
    mesh: Annotated[Path | None, typer.Argument(help="OBJ, GLB, glTF, PLY or STL file.", show_default=False)] = None,
    prompt: Annotated[str | None, typer.Option(help="What the texture is to be, such as 'red bricks'.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/texture"),
    negative: Annotated[str | None, typer.Option(help="What it is not to be.", rich_help_panel=_PRIOR)] = None,
    guidance: Annotated[
        str | None,
        typer.Option(
            help="pocket (built in, the default), sd15, sd21, sdxl, sd35, flux, z-image, or a hub id, "
            "folder or .safetensors file.",
            rich_help_panel=_PRIOR,
        ),
    ] = None,
    reference: ReferenceOption = None,
    control_model: ControlModelOption = None,
    lora: LoraOption = None,
    embedding: EmbeddingOption = None,
    ip_adapter: IpAdapterOption = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_PRIOR)] = None,
    choices: RunChoices = RunChoices(),  # noqa: B008 - frozen
    front: Annotated[
        str | None,
        typer.Option(
            help="Side of the Z-up mesh that 'front view' means: -y (default), +y, -x, +x.", rich_help_panel=_MESH
        ),
    ] = None,
    up: Annotated[str | None, typer.Option(help="The file's up axis, y or z.", rich_help_panel=_MESH)] = None,
    unwrap: Annotated[
        bool | None, typer.Option("--unwrap", help="Make new UVs, however long it takes.", rich_help_panel=_MESH)
    ] = None,
    keep_uvs: Annotated[
        bool | None,
        typer.Option(
            "--keep-uvs",
            help="Texture the mesh's own UVs even where they repeat, overlap or have no area.",
            rich_help_panel=_MESH,
        ),
    ] = None,
    view_prompts: Annotated[
        bool | None,
        typer.Option(
            "--view-prompts/--no-view-prompts", help="Add 'front view' and so on to the prompt.", rich_help_panel=_PRIOR
        ),
    ] = None,
    view_prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="VIEW=TEXT: another prompt for front, side, back, overhead or underside; VIEW=+TEXT adds to the "
            "prompt. Once for each view.",
            rich_help_panel=_PRIOR,
        ),
    ] = None,
    init_texture: Annotated[
        str | None,
        typer.Option(
            help="Image of base colour to start from, 8 or 16 bits or EXR (NAME.<UDIM>.png for tiles), or a run's "
            "folder: all its maps.",
            rich_help_panel=_START,
        ),
    ] = None,
    lock_mask: Annotated[
        str | None, typer.Option(help="Image whose bright texels stay as they are.", rich_help_panel=_START)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="vertex-colors: start from the mesh's own.", rich_help_panel=_START),
    ] = None,
    change_mask: Annotated[
        str | None,
        typer.Option(
            help="Image whose bright texels alone change; all others stay as they are.", rich_help_panel=_START
        ),
    ] = None,
    oracle_texture: Annotated[
        str | None, typer.Option(help="Known texture for --guidance oracle (measurements).", hidden=True)
    ] = None,
    preview_size: Annotated[
        int, typer.Option(help="Side of each of the six views in preview.png, pixels.", rich_help_panel=_OUTPUT)
    ] = 320,
    turntable: Annotated[
        bool, typer.Option("--turntable/--no-turntable", help="Write turntable.webp.", rich_help_panel=_OUTPUT)
    ] = True,
    image_format: FormatOption = None,
    engine: EngineOption = None,
    normals: NormalsOption = None,
    models: ModelsOption = None,
    server: Annotated[
        bool,
        typer.Option("--server", help="Have the server do it; one is started if none runs.", rich_help_panel=_SERVER),
    ] = False,
    connection: Annotated[
        Path | None,
        typer.Option(help="Connection file of another server than your own.", rich_help_panel=_SERVER),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
) -> None:
    """Textures a mesh from a prompt.

    Writes a PNG for each map, textured.glb, preview.png, turntable.webp and run.json. Ctrl-C keeps what there is.
    With an option about export, more files go to the folder "export" in --out.
    """
    given = TextureArguments.of(
        replace(
            choices,
            control_models=read_control_models(control_model or ()),
            loras=read_loras(lora or ()),
            embeddings=read_embeddings(embedding or ()),
            ip_adapter=ip_adapter and str(Path(ip_adapter).absolute()),
        ),
        mesh=None if mesh is None else str(mesh),
        prompt=prompt,
        negative=negative,
        guidance=guidance,
        front=front,
        up=up,
        init_texture=init_texture,
        lock_mask=lock_mask,
        change_mask=change_mask,
        start=start,
        oracle_texture=oracle_texture,
        reference=reference,
        view_prompts=view_prompts,
        view_prompt=read_view_prompts(view_prompt or ()),
        unwrap=unwrap,
        keep_uvs=keep_uvs,
        device=device,
    ).with_absolute_paths()
    if resume and overwrite:
        raise ConfigError("--resume goes on with the run in --out and --overwrite replaces it; give one of them.")
    if not resume and (mesh is None or prompt is None):
        raise ConfigError("A run needs a mesh and --prompt; only --resume does without.")
    if not resume:
        given = given.expanded()
        given.check_mesh_is_there()
    destination = _Destination(
        out=out,
        resume=resume,
        overwrite=overwrite,
        preview_size=preview_size,
        turntable=turntable,
        export=(image_format, engine, normals, models),
    )
    _run(given, destination, _Server(wanted=server or connection is not None, connection=connection))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """Who does the work."""

    wanted: bool
    connection: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Destination:
    """Where results go and how they look; no part of what a resumed run must keep."""

    out: Path
    resume: bool
    overwrite: bool
    preview_size: int
    turntable: bool
    export: tuple[str | None, str | None, str | None, str | None]
    """Image format, engine, normals, models, as they stand on the command line."""

    def outputs(self) -> OutputConfig:
        """Returns the configuration of what the run writes."""
        from pgc.pictures.contact_sheet import PreviewConfig
        from pgc.pictures.turntable import TurntableConfig
        from pgc.runs.folder import OutputConfig

        return OutputConfig(
            preview=PreviewConfig(view_size=self.preview_size),
            turntable=TurntableConfig() if self.turntable else None,
            export=None if self.export == (None,) * 4 else export_config(*self.export),
        )


def _run(given: TextureArguments, destination: _Destination, server: _Server) -> None:
    console = progress_console()
    console.print("Starting …", highlight=False)
    # Torch and diffusers take seconds to import: only now.
    from pgc.runs.folder import RunFolder
    from pgc.runs.report import read_report

    folder, resume, outputs = RunFolder(destination.out), destination.resume, destination.outputs()
    report = read_report(folder.report) if resume else None
    if server.wanted or (report is not None and report.get("server")):
        from pgc.commands.texture_remote import run_on_server
        from pgc.remote.job import check_remote_arguments

        check_remote_arguments(given)
        if outputs.export is not None:
            raise ConfigError(
                "A server sends maps of 8 bits; leave the options about export out, and run `pgc export` on the result."
            )
        if not resume:
            # Bad options first: a folder is claimed for a run that can begin only.
            given.to_request()
            folder.claim(overwrite=destination.overwrite)
        with folder.giving_back():
            run_on_server(console, folder, given, outputs, connection=server.connection, report=report)
    else:
        _run_here(console, folder, given, destination, report)


def _run_here(
    console: Console,
    folder: RunFolder,
    given: TextureArguments,
    destination: _Destination,
    report: dict[str, Any] | None,
) -> None:
    from pgc.runs.runner import RunHooks, texture_mesh

    resume, outputs = destination.resume, destination.outputs()
    arguments = given if report is None else arguments_from_report(report, given)
    request = arguments.to_request()
    if not resume:
        folder.claim(overwrite=destination.overwrite)
    with folder.giving_back(), InterruptFlag() as interrupt, RunDisplay(console) as display:

        def on_ready(run: TextureRun) -> None:
            """Shows the run's warnings; from then on Ctrl-C stops it and keeps its state."""
            for warning in run.warnings:
                display.say(f"Note: {warning}")
            # Not before: while things load, there is nothing to keep.
            interrupt.arm()

        hooks = RunHooks(
            progress=display.stage,
            on_ready=on_ready,
            on_note=lambda text: display.say(f"Note: {text}"),
            on_step=display.step,
            should_stop=lambda: interrupt.raised,
        )
        outcome = texture_mesh(
            request, folder, arguments=arguments.given(), resume=resume, outputs=outputs, hooks=hooks
        )
    _say_result(console, folder, outcome)
    if not outcome.finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def _say_result(console: Console, folder: RunFolder, outcome: RunOutcome) -> None:
    report = outcome.report
    if outcome.finished:
        text = f"Done in {report.seconds['total']:.0f} s: {', '.join(report.files)} in {folder.path}"
    else:
        command = f"pgc texture --resume --out {shlex.quote(str(folder.path))}"
        text = f"Stopped after step {report.steps_done}; what there is lies in {folder.path}. To go on: {command}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
