# SPDX-License-Identifier: Apache-2.0
"""`pgc texture MESH --prompt "…" --out DIR`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pgc.commands.choice_options import (
    ChangeByOption,
    ChangeMaskOption,
    ControlModelOption,
    EmbeddingOption,
    InitMapOption,
    InitTextureOption,
    IpAdapterOption,
    KeepByOption,
    KeepUvsOption,
    LoraOption,
    PromptsOption,
    RasterizerOption,
    ReferenceOption,
    SeedsOption,
    UnwrapOption,
    VariationsOption,
    ViewPromptOption,
    ViewPromptsOption,
    takes_choices,
)
from pgc.commands.export_options import EngineOption, FormatOption, ModelsOption, NormalsOption
from pgc.commands.texturing.running import Destination, Server, run_texture
from pgc.commands.texturing.variations import Wanted, variations_of
from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.offers import read_control_models, read_embeddings, read_loras, read_map_files
from pgc.runs.view_prompts import read_view_prompts
from pgc.terminal.failures import reports_failures

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
    rasterizer: RasterizerOption = None,
    choices: RunChoices = RunChoices(),  # noqa: B008 - frozen
    front: Annotated[
        str | None,
        typer.Option(
            help="Side of the Z-up mesh that 'front view' means: -y (default), +y, -x, +x.", rich_help_panel=_MESH
        ),
    ] = None,
    up: Annotated[str | None, typer.Option(help="The file's up axis, y or z.", rich_help_panel=_MESH)] = None,
    unwrap: UnwrapOption = None,
    keep_uvs: KeepUvsOption = None,
    view_prompts: ViewPromptsOption = None,
    view_prompt: ViewPromptOption = None,
    init_texture: InitTextureOption = None,
    init_map: InitMapOption = None,
    lock_mask: Annotated[
        str | None, typer.Option(help="Image whose bright texels stay as they are.", rich_help_panel=_START)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="vertex-colors: start from the mesh's own.", rich_help_panel=_START),
    ] = None,
    change_mask: ChangeMaskOption = None,
    change_by: ChangeByOption = None,
    keep_by: KeepByOption = None,
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
    seeds: SeedsOption = None,
    variations: VariationsOption = None,
    prompts: PromptsOption = None,
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
    resume_or_start: Annotated[
        bool,
        typer.Option(
            "--resume-or-start",
            help="Go on with the run in --out; start it where there is none; do nothing where it is finished. For "
            "render farms, which repeat a command.",
        ),
    ] = False,
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
            ip_adapter=ip_adapter if ip_adapter is None or server or connection else str(Path(ip_adapter).absolute()),
        ),
        mesh=None if mesh is None else str(mesh),
        prompt=prompt,
        negative=negative,
        guidance=guidance,
        front=front,
        up=up,
        init_texture=init_texture,
        init_maps=read_map_files(init_map or ()),
        lock_mask=lock_mask,
        change_mask=change_mask,
        change_by=change_by,
        keep_by=keep_by,
        start=start,
        oracle_texture=oracle_texture,
        reference=reference,
        view_prompts=view_prompts,
        view_prompt=read_view_prompts(view_prompt or ()),
        unwrap=unwrap,
        keep_uvs=keep_uvs,
        device=device,
        rasterizer=rasterizer,
    ).with_absolute_paths()
    if resume + overwrite + resume_or_start > 1:
        raise ConfigError(
            "--resume goes on with the run in --out, --overwrite replaces it, and --resume-or-start goes on where it "
            "can; give one of them."
        )
    wanted = Wanted(seeds=seeds, count=variations, prompts=prompts)
    if resume and wanted != Wanted():
        raise ConfigError("--resume goes on with one run; with several, --resume-or-start goes on with each.")
    if not resume and (mesh is None or (prompt is None and prompts is None)):
        raise ConfigError("A run needs a mesh and --prompt; only --resume does without.")
    if not resume:
        given = given.expanded()
        given.check_mesh_is_there()
    destination = Destination(
        out=out,
        resume=resume,
        overwrite=overwrite,
        may_be_begun=resume_or_start,
        preview_size=preview_size,
        turntable=turntable,
        export=(image_format, engine, normals, models),
    )
    run_texture(
        variations_of(given, wanted),
        destination,
        Server(wanted=server or connection is not None, connection=connection),
    )
