# SPDX-License-Identifier: Apache-2.0
"""`pgc shape MESH --prompt "…" --loss rgb --out DIR`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgc.commands.choice_options import ControlModelOption
from pgc.commands.shapes.remote import ConnectionOption, Place, ServerOption, refuse_there, run_there, wished
from pgc.errors import ConfigError
from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    import torch

    from pgc.guidance.base import Guidance
    from pgc.guidance.specs import GuidanceSpec
    from pgc.runs.folder import RunFolder
    from pgc.runs.memory.costs import TeacherSpec
    from pgc.runs.memory.fitting import PriorSource
    from pgc.shape.settings import ShapeSettings

__all__ = ["check_folder", "prior_source", "shape"]


@reports_failures
def shape(  # noqa: PLR0913 - one parameter an option
    mesh: Annotated[Path, typer.Argument(help="OBJ, GLB, glTF, PLY or STL file to begin from.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What the shape is to be, such as 'a stone lion'.")],
    loss: Annotated[
        str | None,
        typer.Option(
            help="Pictures that the model judges: normal (shape alone; PGC-3D's only_normal), rgb (shaded colours; its "
            "no_normal) or both. Without it: rgb."
        ),
    ] = None,
    geometry: Annotated[
        str | None,
        typer.Option(
            help="offsets (the mesh's own vertices, moved) or dmtet (a grid, whose surface may split and join). "
            "Without it: offsets, or the preset's."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A published run: pgc3d/normal-sds, pgc3d/normal-sds-depth, pgc3d/rgb-sds, pgc3d/normal-rgb-sds."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the new mesh; the given one stays as it is.")] = Path(
        "out/shape"
    ),
    negative: Annotated[str, typer.Option(help="What it is not to be.")] = "",
    guidance: Annotated[
        str | None,
        typer.Option(
            help="pocket (built in), sd15, sd21, sdxl, …, or a folder or file. Without it: pocket, or the preset's."
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="Which ControlNets look at the shape, or at the given mesh with --hold, how strongly and when: KIND, "
            "KIND=STRENGTH or KIND=STRENGTH@START-END, with commas, such as 'depth=0.7,normal=0.3'."
        ),
    ] = None,
    control_model: ControlModelOption = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Show ControlNets the given mesh, so that the shape stays near it.")
    ] = False,
    subdivide: Annotated[int, typer.Option(help="How often each triangle becomes four; 0 keeps the topology.")] = 0,
    cubes: Annotated[int | None, typer.Option(help="Cubes along a side of dmtet's grid.")] = None,
    latents_until: Annotated[
        float,
        typer.Option(
            help="Part of the run, from 0 to 1, in which normals and outline are the model's latents themselves, as in "
            "Fantasia3D's early phase."
        ),
    ] = 0.0,
    steps: Annotated[int | None, typer.Option(help="Steps of the run.")] = None,
    views: Annotated[int | None, typer.Option(help="Views a step.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the rendered pictures, pixels.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the shape, in a mesh of extent 1.6.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    server: ServerOption = False,
    connection: ConnectionOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, by the same command.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
) -> None:
    """Learns a new shape from a blockout and a prompt.

    Writes shape.glb, shape.obj, preview.png and run.json. Ctrl-C ends the run and writes the shape of then; the same
    command with --resume goes on.
    """
    if not prompt.strip():
        raise ConfigError("The prompt is empty; say what the shape is to be.")
    place = Place(out=out, resume=resume, overwrite=overwrite, server=server, connection=connection)
    if place.is_there:
        refuse_there({"--preset": preset, "--control": control, "--control-model": control_model or None}, device)
        if not mesh.is_file():
            raise ConfigError(f"There is no file {mesh}; give the mesh to begin from.")
        wish = wished(
            mesh.stem,
            "pocket" if guidance is None else guidance,
            (prompt, negative),
            {"steps": steps, "views": views, "resolution": resolution, "seed": seed},
            {
                "loss": "rgb" if loss is None else loss, "geometry": "offsets" if geometry is None else geometry,
                "cubes": cubes, "hold": hold,
                "latents_until": latents_until, "learning_rate": learning_rate,
            },
            mesh=mesh,
            subdivide=subdivide,
        )  # fmt: skip
        run_there(wish, "shape", place)
        return
    spec, settings = _chosen(loss, geometry, cubes, preset, guidance)
    spec = _controlled(spec, control, control_model)
    if hold:
        from pgc.shape.settings import check_hold

        check_hold(spec)
    given = {
        "steps": steps, "views": views, "resolution": resolution, "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip
    optimize = replace(settings.optimize, **{name: value for name, value in given.items() if value is not None})
    pictures = replace(settings.pictures, latents_until=latents_until)
    settings = replace(settings, optimize=optimize, subdivide=subdivide, hold=hold, pictures=pictures)
    if not mesh.is_file():
        raise ConfigError(f"There is no file {mesh}; give the mesh to begin from.")

    from pgc.devices import resolve_device
    from pgc.optimization.config import Prompt
    from pgc.runs.arguments import checked_device
    from pgc.runs.folder import RunFolder
    from pgc.shape.outcome import check_spared
    from pgc.shape.runner import ShapeHooks, ShapeRequest, refine_shape

    folder = RunFolder(out)
    check_folder(folder, resume=resume, overwrite=overwrite)
    console = progress_console()
    console.print("Starting …", highlight=False)
    request = ShapeRequest(mesh=mesh, prompt=Prompt(text=prompt, negative=negative), settings=settings, prior=spec)
    check_spared(mesh, out)
    prior = prior_source(resolve_device(checked_device(device)))
    if not resume:
        folder.claim(overwrite=overwrite)
    with InterruptFlag() as interrupt, folder.giving_back(), RunDisplay(console, "Shaping") as display:
        interrupt.arm()
        hooks = ShapeHooks(
            on_note=lambda text: display.say(f"Note: {text}"),
            progress=display.stage,
            on_step=display.step,
            should_stop=lambda: interrupt.raised,
        )
        going = "resume" if resume else "write"
        finished = refine_shape(request, prior, folder.path, hooks, checkpoints=going)
    done = "Done" if finished else "Stopped early"
    console.print(f"{done}: shape.glb, shape.obj, preview.png and run.json in {out}", highlight=False, soft_wrap=True)
    if not finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def prior_source(device: torch.device) -> PriorSource:
    """Returns a prior that is loaded once a memory plan says how; a Zero123 too."""
    from pgc.guidance.diffusion.zero123.specs import Zero123Spec
    from pgc.guidance.sources import users_words
    from pgc.guidance.specs import load_guidance
    from pgc.runs.memory.fitting import PriorSource

    def load(spec: TeacherSpec) -> Guidance:
        """Loads it. Raises PgcError where it is not there, or damaged."""
        if not isinstance(spec, Zero123Spec):
            return load_guidance(spec, device, words=users_words())
        from pgc.guidance.diffusion.zero123.loading import load_zero123

        return load_zero123(spec, device)

    return PriorSource(device=device, load=load)


def check_folder(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    """Raises ConfigError where a run cannot begin, or go on, in a folder."""
    if not resume:
        folder.check_free(overwrite=overwrite)
        return
    if overwrite:
        raise ConfigError("--resume goes on with what is in --out and --overwrite replaces it; give one of them.")
    if not folder.checkpoint.is_file():
        raise ConfigError(f"There is no unfinished run in {folder.path}; start without --resume.")


def _chosen(
    loss: str | None, geometry: str | None, cubes: int | None, preset: str | None, guidance: str | None
) -> tuple[GuidanceSpec, ShapeSettings]:
    """The prior and the settings before single numbers are changed."""
    from pgc.guidance.specs import parse_guidance
    from pgc.shape.geometry.dmtet import DMTetConfig
    from pgc.shape.papers import paper_prior, shape_paper, with_geometry
    from pgc.shape.settings import geometry_named, shape_settings

    if preset is None:
        spec = parse_guidance(guidance or "pocket")
        return spec, shape_settings(loss or "rgb", geometry_named(geometry or "offsets", cubes=cubes), spec)
    paper = shape_paper(preset)
    if loss is not None:
        raise ConfigError(f"--loss is {loss}, but {preset} says itself which pictures are judged; leave it out.")
    settings = paper.settings
    if geometry is not None and geometry != "dmtet":
        settings = with_geometry(settings, geometry_named(geometry, cubes=cubes))
    elif cubes is not None and isinstance(settings.geometry, DMTetConfig):
        settings = replace(settings, geometry=replace(settings.geometry, cubes=cubes))
    return paper_prior(paper, parse_guidance(guidance or paper.guidance)), settings


def _controlled(spec: GuidanceSpec, control: str | None, models: list[str] | None) -> GuidanceSpec:
    """The prior with the ControlNets that were chosen; they replace all others.

    Raises:
        ConfigError: it has no such control.
    """
    from pgc.runs.settings.choices import RunChoices
    from pgc.runs.settings.controls import check_light, with_controls
    from pgc.runs.settings.offers import read_control_models, read_controls

    if control is None:
        if models:
            raise ConfigError("A ControlNet is named by --control-model, and --control lists none; add it there.")
        return spec
    choices = RunChoices(controls=read_controls(control), control_models=read_control_models(models or ()))
    if any(text.startswith("shuffle") for text in choices.controls or ()):
        raise ConfigError("The control shuffle shows a picture of yours, and a shape run is given none; leave it out.")
    prior = with_controls(spec, choices)
    check_light(prior, lit=False)
    return prior
