# SPDX-License-Identifier: Apache-2.0
"""`pgc imagine "a red vase" --out DIR`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgc.commands.shapes.remote import ConnectionOption, Place, ServerOption, refuse_there, run_there, wished
from pgc.commands.shapes.shape import check_folder, prior_source
from pgc.commands.shapes.texture_there import texturing_there
from pgc.errors import ConfigError
from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from pgc.volume.settings import VolumeSettings

__all__ = ["imagine"]

_STAGES = {"volume": "Imagining", "mesh": "Making a mesh", "texture": "Texturing"}


@reports_failures
def imagine(  # noqa: PLR0913 - one parameter an option
    prompt: Annotated[str, typer.Argument(help="What is to be made, such as 'a red vase'.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/imagine"),
    negative: Annotated[str, typer.Option(help="What it is not to be.")] = "",
    guidance: Annotated[
        str, typer.Option(help="pocket (built in), sd15, sd21, sdxl, …, or a folder or file.")
    ] = "pocket",
    start: Annotated[
        str | None,
        typer.Option(
            help="What the volume begins as: ball, sphere, cube, box, cylinder, cone, torus, capsule, pyramid, vase, "
            "bowl, egg, mug, or a mesh's path. Left out: a ball; with the built-in model, the shape that the prompt "
            "names."
        ),
    ] = None,
    triangles: Annotated[int | None, typer.Option(help="About how many the mesh is to have.")] = None,
    texture: Annotated[
        bool, typer.Option("--texture/--no-texture", help="Texture the mesh; otherwise it has the volume's colours.")
    ] = True,
    steps: Annotated[int | None, typer.Option(help="Steps of the volume.")] = None,
    views: Annotated[int | None, typer.Option(help="Views a step.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the volume's pictures, pixels.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the volume's grid.")] = None,
    latents_until: Annotated[
        float,
        typer.Option(
            help="Part of the volume's steps, from 0 to 1, in which normals and opacity are the model's latents "
            "themselves; Stable-DreamFusion's is 0.2."
        ),
    ] = 0.0,
    texture_steps: Annotated[int | None, typer.Option(help="Steps of the texture.")] = None,
    texture_size: Annotated[int | None, typer.Option(help="Side of the texture, pixels.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    server: ServerOption = False,
    connection: ConnectionOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the volume of the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
) -> None:
    """Makes a textured mesh from a prompt: a volume first, then its surface, then a texture.

    Writes imagined.glb, volume.glb, volume.obj, preview.png, run.json and the folder "texture". Ctrl-C ends the run and
    writes the mesh of then; the same command with --resume goes on.
    """
    if not texture and (texture_steps is not None or texture_size is not None):
        raise ConfigError("--texture-steps and --texture-size are about the texture; leave them or --no-texture out.")
    numbers = {"steps": steps, "views": views, "resolution": resolution, "seed": seed}
    place = Place(out=out, resume=resume, overwrite=overwrite, server=server, connection=connection)
    if place.is_there:
        # 0 is what a server does anyway.
        unknown = {"--start": start, "--triangles": triangles, "--latents-until": latents_until or None}
        refuse_there(unknown, device)
        shape = {"geometry": "volume", "learning_rate": learning_rate}
        wish = wished(prompt, guidance, (prompt, negative), numbers, shape)
        run_there(wish, "volume", place, texturing_there(wish, out, texture_steps, texture_size) if texture else None)
        return

    from pgc.guidance.specs import parse_guidance
    from pgc.runs.settings.choices import RunChoices
    from pgc.volume.finish import TextureStage
    from pgc.volume.settings import volume_settings

    spec = parse_guidance(guidance)
    settings = _with_start(volume_settings(spec, prompt), start)
    given = {**numbers, "learning_rate": learning_rate}
    optimize = replace(settings.optimize, **{name: value for name, value in given.items() if value is not None})
    settings = replace(settings, optimize=optimize, latents_until=latents_until)
    if triangles is not None:
        settings = replace(settings, surface=replace(settings.surface, triangles=triangles))
    choices = RunChoices(steps=texture_steps, texture_size=texture_size, seed=seed)

    from pgc.devices import resolve_device
    from pgc.optimization.config import Prompt
    from pgc.runs.arguments import checked_device
    from pgc.runs.folder import RunFolder
    from pgc.volume.outcome import check_spared
    from pgc.volume.runner import VolumeHooks, VolumeRequest, check_request
    from pgc.volume.runner import imagine as run_imagine
    from pgc.volume.start import MeshStart

    request = VolumeRequest(
        prompt=Prompt(text=prompt, negative=negative),
        settings=settings,
        prior=spec,
        texture=TextureStage(choices=choices) if texture else None,
    )
    check_request(request)
    if isinstance(settings.start, MeshStart):
        check_spared(settings.start.path, out)
    folder = RunFolder(out)
    check_folder(folder, resume=resume, overwrite=overwrite)
    console = progress_console()
    console.print("Starting …", highlight=False)
    prior = prior_source(resolve_device(checked_device(device)))
    if not resume:
        folder.claim(overwrite=overwrite)
    with InterruptFlag() as interrupt, folder.giving_back(), RunDisplay(console, _STAGES["volume"]) as display:
        interrupt.arm()
        hooks = VolumeHooks(
            on_note=lambda text: display.say(f"Note: {text}"),
            progress=display.stage,
            on_stage=lambda name: display.begin(_STAGES[name]),
            on_step=display.step,
            should_stop=lambda: interrupt.raised,
        )
        finished = run_imagine(request, prior, folder.path, hooks, resume=resume)
    made = "imagined.glb" if texture and finished else "volume.glb"
    done = "Done" if finished else "Stopped early"
    console.print(f"{done}: {made}, preview.png and run.json in {out}", highlight=False, soft_wrap=True)
    if not finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def _with_start(settings: VolumeSettings, start: str | None) -> VolumeSettings:
    if start is None:
        return settings
    from pgc.volume.settings import with_start
    from pgc.volume.start import start_named

    return with_start(settings, start_named(start))
