# SPDX-License-Identifier: Apache-2.0
"""`pgc image PICTURE --out DIR`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgc.commands.shapes.remote import ConnectionOption, Place, ServerOption, refuse_there, run_there, wished
from pgc.commands.shapes.shape import check_folder, prior_source
from pgc.errors import ConfigError
from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgc.guidance.diffusion.zero123.specs import Zero123Spec
    from pgc.guidance.specs import GuidanceSpec
    from pgc.runs.memory.fitting import PriorSource
    from pgc.shape.picture import GivenPicture, PictureOfObject
    from pgc.shape.runner import ShapeRequest
    from pgc.shape.settings import GeometryConfig, ShapeSettings
    from pgc.volume.runner import VolumeRequest

__all__ = ["image"]


@reports_failures
def image(  # noqa: PLR0913 - one parameter an option
    picture: Annotated[
        Path,
        typer.Argument(
            help="Picture of one object: with a transparent background, or before one plain colour.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new mesh.")] = Path("out/image"),
    guidance: Annotated[
        str,
        typer.Option(
            help="zero123 (judges all views by the picture) or a folder of one; or, with --prompt, a model that reads, "
            "such as pocket."
        ),
    ] = "zero123",
    prompt: Annotated[str, typer.Option(help="What the object is, for a model that reads.")] = "",
    begin: Annotated[
        Path | None,
        typer.Option("--from", help="Mesh to begin from, whose vertices move; without one, the outline turned round."),
    ] = None,
    elevation: Annotated[
        float, typer.Option(help="How high above the object the picture's camera stood, degrees.")
    ] = 0.0,
    cubes: Annotated[int | None, typer.Option(help="Cubes along a side of the grid, without --from.")] = None,
    volume: Annotated[
        bool,
        typer.Option("--volume", help="Learn a volume first, as Stable-DreamFusion, and not a surface; for cards."),
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(help="pgc3d/image: PGC-3D's -O3, which paints a mesh of --from and moves it a little."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the run.")] = None,
    views: Annotated[int | None, typer.Option(help="Views a step, beside the picture's own.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the rendered pictures, pixels.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    server: ServerOption = False,
    connection: ConnectionOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, by the same command.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
) -> None:
    """Learns an object from one picture of it.

    The picture shows its front (-Y). Writes shape.glb (with --volume: volume.glb) with vertex colours, the same as OBJ,
    preview.png and run.json. Ctrl-C ends the run and writes the shape of then; the same command with --resume goes on.
    """
    given = {"steps": steps, "views": views, "resolution": resolution, "seed": seed}
    changes = {name: value for name, value in given.items() if value is not None}
    if volume:
        unused = {"--from": begin, "--cubes": cubes, "--preset": preset}
        if any(value is not None for value in unused.values()):
            names = ", ".join(name for name, value in unused.items() if value is not None)
            raise ConfigError(f"--volume begins as a ball and has no {names}; leave one of them out.")
    place = Place(out=out, resume=resume, overwrite=overwrite, server=server, connection=connection)
    if place.is_there:
        refuse_there({"--preset": preset}, device)
        shape = {"geometry": "volume" if volume else "dmtet" if begin is None else "offsets", "cubes": cubes}
        wish = wished(picture.stem, guidance, (prompt, ""), given, shape, **_files(picture, begin), elevation=elevation)
        run_there(wish, "volume" if volume else "shape", place)
        return
    spec = _teacher(guidance, prompt)
    if volume:
        request = _volume_request(spec, prompt, picture, elevation, changes)
    else:
        request = _shape_request(spec, (begin, cubes, preset), prompt, picture, elevation, changes)

    from pgc.devices import resolve_device
    from pgc.runs.arguments import checked_device
    from pgc.runs.folder import RunFolder
    from pgc.shape.outcome import check_spared

    console = progress_console()
    console.print("Starting …", highlight=False)
    for path in (picture, begin):
        if path is not None:
            check_spared(path, out)
    folder = RunFolder(out)
    check_folder(folder, resume=resume, overwrite=overwrite)
    prior = prior_source(resolve_device(checked_device(device)))
    if not resume:
        folder.claim(overwrite=overwrite)
    with InterruptFlag() as interrupt, folder.giving_back(), RunDisplay(console, "Shaping") as display:
        interrupt.arm()
        finished = _run(request, (prior, folder.path), display, lambda: interrupt.raised, resume=resume)
    done, made = "Done" if finished else "Stopped early", "volume.glb" if volume else "shape.glb"
    console.print(f"{done}: {made}, preview.png and run.json in {out}", highlight=False, soft_wrap=True)
    if not finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def _files(picture: Path, begin: Path | None) -> dict[str, Path | None]:
    """The files that are sent. Raises ConfigError where one is not there."""
    for path in (picture, begin):
        if path is not None and not path.is_file():
            raise ConfigError(f"There is no file {path}; check the path.")
    return {"picture": picture, "mesh": begin}


def _run(
    request: ShapeRequest | VolumeRequest,
    made: tuple[PriorSource, Path],
    display: RunDisplay,
    should_stop: Callable[[], bool],
    *,
    resume: bool,
) -> bool:
    """`made`: the prior and the folder."""
    from pgc.shape.runner import ShapeHooks, ShapeRequest, refine_shape
    from pgc.volume.runner import VolumeHooks, imagine

    def say(text: str) -> None:
        """Shows a note."""
        display.say(f"Note: {text}")

    if isinstance(request, ShapeRequest):
        hooks = ShapeHooks(on_note=say, progress=display.stage, on_step=display.step, should_stop=should_stop)
        return refine_shape(request, *made, hooks, checkpoints="resume" if resume else "write")
    hooks = VolumeHooks(on_note=say, progress=display.stage, on_step=display.step, should_stop=should_stop)
    return imagine(request, *made, hooks, resume=resume)


def _shape_request(
    spec: GuidanceSpec | Zero123Spec,
    chosen: tuple[Path | None, int | None, str | None],
    prompt: str,
    picture: Path,
    elevation: float,
    changes: dict[str, int],
) -> ShapeRequest:
    """`chosen`: the mesh to begin from, cubes and preset."""
    from pgc.optimization.config import Prompt
    from pgc.shape.runner import ShapeRequest

    settings, taken = _chosen(spec, *chosen)
    settings = replace(settings, optimize=replace(settings.optimize, **changes))
    known = _given(picture, replace(taken, elevation_deg=elevation), settings.optimize.resolution)
    return ShapeRequest(mesh=chosen[0], prompt=Prompt(text=prompt), settings=settings, prior=spec, picture=known)


def _volume_request(
    spec: GuidanceSpec | Zero123Spec, prompt: str, picture: Path, elevation: float, changes: dict[str, int]
) -> VolumeRequest:
    from pgc.optimization.config import Prompt
    from pgc.shape.picture import PictureOfObject
    from pgc.volume.picture import picture_volume_settings
    from pgc.volume.runner import VolumeRequest

    settings = picture_volume_settings(spec, prompt)
    settings = replace(settings, optimize=replace(settings.optimize, **changes))
    known = _given(picture, PictureOfObject(elevation_deg=elevation), settings.optimize.resolution)
    return VolumeRequest(prompt=Prompt(text=prompt), settings=settings, prior=spec, texture=None, picture=known)


def _teacher(guidance: str, prompt: str) -> GuidanceSpec | Zero123Spec:
    """Which prior, all of whose files are here.

    Raises:
        ConfigError: a prompt is missing, or nobody would read it.
        GuidanceError: there is no such model, or it is not on this machine.
    """
    from pgc.guidance.diffusion.zero123.specs import zero123_named
    from pgc.guidance.models import require_installed, require_zero123
    from pgc.guidance.specs import parse_guidance

    zero123 = zero123_named(guidance)
    if zero123 is not None:
        if prompt:
            raise ConfigError("--prompt is given, but Zero123 reads none: the picture says it all; leave it out.")
        require_zero123(zero123.source)
        return zero123
    spec = parse_guidance(guidance)
    if not prompt.strip():
        raise ConfigError(f"{guidance} reads, and does not see the picture; say with --prompt what the object is.")
    require_installed(spec)
    return spec


def _chosen(
    spec: GuidanceSpec | Zero123Spec, begin: Path | None, cubes: int | None, preset: str | None
) -> tuple[ShapeSettings, PictureOfObject]:
    """The settings before single numbers are changed, and what is taken of the picture."""
    from pgc.guidance.diffusion.zero123.specs import Zero123Spec
    from pgc.shape.geometry.dmtet import DMTetConfig
    from pgc.shape.papers import PICTURE_PAPER, picture_paper
    from pgc.shape.picture import PictureOfObject, picture_settings

    geometry = _geometry(begin, cubes if preset is None else None)
    if preset is None:
        return picture_settings(geometry, spec), PictureOfObject()
    if preset != PICTURE_PAPER:
        raise ConfigError(f"--preset is {preset!r}; expected {PICTURE_PAPER}.")
    if begin is None or not isinstance(spec, Zero123Spec):
        missing = "--from MESH" if begin is None else "a Zero123"
        raise ConfigError(f"{PICTURE_PAPER} paints a mesh by Zero123 and a picture; give {missing}.")
    settings, taken = picture_paper()
    if cubes is not None and isinstance(settings.geometry, DMTetConfig):
        settings = replace(settings, geometry=replace(settings.geometry, cubes=cubes))
    return settings, taken


def _geometry(begin: Path | None, cubes: int | None) -> GeometryConfig:
    from pgc.shape.picture import DEFAULT_GEOMETRY
    from pgc.shape.settings import geometry_named

    if begin is None:
        return DEFAULT_GEOMETRY if cubes is None else replace(DEFAULT_GEOMETRY, cubes=cubes)
    if not begin.is_file():
        raise ConfigError(f"There is no file {begin}; give the mesh to begin from.")
    return geometry_named("offsets", cubes=cubes)


def _given(path: Path, config: PictureOfObject, side: int) -> GivenPicture:
    from pgc.shape.picture import given_picture

    if not path.is_file():
        raise ConfigError(f"There is no file {path}; give a picture of the object.")
    return given_picture(path, config, side)
