# SPDX-License-Identifier: Apache-2.0
"""What `pgc texture` is told as plain data, and from there to a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pgc.errors import ConfigError, MeshError
from pgc.runs.settings.choices import RunChoices, choices_offered

if TYPE_CHECKING:
    from pgc.cameras.view_names import ViewName
    from pgc.devices import DeviceName
    from pgc.guidance.specs import GuidanceSpec
    from pgc.maps import MapName
    from pgc.runs.request import TextureRequest

__all__ = ["TextureArguments", "arguments_from_report", "checked_device", "guidance_named"]

_MODEL_NAMES = ("pocket", "sd15", "sd21", "sdxl", "sd35", "flux", "z-image", "oracle")
_OF_THE_MACHINE = ("device", "rasterizer")
_MOVABLE = ("loras", "embeddings")
"""Files of the model, each named by its content in the report: they may lie elsewhere now."""
REFERENCE_SCALE = 0.5
"""What a reference's colours count where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureArguments(RunChoices):
    """What stands on the command line: the choices, and what they are about; None is "not given"."""

    mesh: str | None = None
    prompt: str | None = None
    negative: str | None = None
    guidance: str | None = None
    front: str | None = None
    up: str | None = None
    init_texture: str | None = None
    init_maps: Mapping[MapName, str] | None = None
    """Paths of further maps than base colour."""
    lock_mask: str | None = None
    change_mask: str | None = None
    keep_by: str | None = None
    """What of the mesh stays, as `pgc.baking.mesh_masks.read_mesh_mask` reads it."""
    change_by: str | None = None
    start: str | None = None
    oracle_texture: str | None = None
    reference: str | None = None
    view_prompts: bool | None = None
    view_prompt: Mapping[ViewName, str] | None = None
    """Of single views, as they were typed."""
    unwrap: bool | None = None
    keep_uvs: bool | None = None
    device: str | None = None
    rasterizer: str | None = None

    @staticmethod
    def of(choices: RunChoices, **what: Any) -> TextureArguments:  # noqa: ANN401 - of any field
        """Returns choices that were made elsewhere than on the command line, with what they are about."""
        return TextureArguments(**{item.name: getattr(choices, item.name) for item in fields(RunChoices)}, **what)

    def with_absolute_paths(self) -> TextureArguments:
        """Returns the same with paths that hold in any folder."""
        names = ("mesh", "init_texture", "lock_mask", "change_mask", "oracle_texture", "reference")
        given = {name: getattr(self, name) for name in names}
        found: dict[str, Any] = {name: str(Path(path).absolute()) for name, path in given.items() if path is not None}
        if self.init_maps is not None:
            found["init_maps"] = {name: str(Path(path).absolute()) for name, path in self.init_maps.items()}
        return replace(self, **found)

    def check_mesh_is_there(self) -> None:
        """Says what the mesh's reader would say seconds later, since torch is imported before it.

        Raises:
            MeshError: there is no such file; all else that may be wrong with it is the reader's.
        """
        try:
            Path(self.mesh or "").stat()
        except FileNotFoundError as error:
            raise MeshError(f"{self.mesh}: there is no such file; check the path.") from error
        except OSError:
            return

    def given(self) -> dict[str, Any]:
        """Returns returns only what stands on the command line, spelled as there."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: ",".join(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def expanded(self) -> TextureArguments:
        """Returns the same with what a published run sets, where --preset names one and nothing else was given."""
        from pgc.runs.settings.papers import expanded_choices, model_of

        return replace(expanded_choices(self), guidance=self.guidance or model_of(self))

    def to_request(self) -> TextureRequest:
        """Makes the request, with the preset's settings for what is not given.

        Raises:
            PgcError: something is missing, unknown or out of range.
        """
        from pgc.baking.mesh_masks import read_mesh_mask
        from pgc.guidance.specs import parse_guidance
        from pgc.optimization.config import Prompt
        from pgc.rendering.raster.choice import checked_rasterizer
        from pgc.runs.request import TextureRequest
        from pgc.runs.settings.presets import resolve
        from pgc.runs.view_prompts import prompts_of_views

        if self.mesh is None or self.prompt is None:
            raise ConfigError("A run needs a mesh and --prompt; only --resume does without.")
        if self.strength is not None and self.init_texture is None and self.start is None:
            raise ConfigError("--strength says how much of a start may change; give one (--init-texture, --start).")
        if self.strength is not None and self.mask_start == "anew":
            raise ConfigError("--strength says how much of a start may change, --mask-start anew drops it; give one.")
        if self.reference_scale and self.reference is None:
            raise ConfigError("--reference-scale is given, but no --reference; give the picture too.")
        if self.reference_by and self.reference is None:
            raise ConfigError(f"--reference-by is {self.reference_by}, but no --reference; give the picture too.")
        expanded = self.expanded()
        if expanded.reference is not None and expanded.reference_scale is None:
            expanded = replace(expanded, reference_scale=REFERENCE_SCALE)
        guidance, settings = resolve(expanded._sized(), parse_guidance(expanded.guidance or "pocket"))
        return TextureRequest(
            mesh=Path(self.mesh),
            prompt=Prompt(
                text=self.prompt,
                negative=self.negative or "",
                view_dependent=self.view_prompts is not False,
                per_view=prompts_of_views(self.prompt, self.view_prompt, view_dependent=self.view_prompts is not False),
                front_axis=_one_of("--front", self.front or "-y", ("-y", "+y", "-x", "+x")),
            ),
            guidance=guidance,
            settings=settings,
            up_axis=None if self.up is None else _one_of("--up", self.up, ("y", "z")),
            unwrap=bool(self.unwrap),
            keep_uvs=bool(self.keep_uvs),
            initial_texture=_path(self.init_texture),
            initial_maps={name: Path(path) for name, path in (self.init_maps or {}).items()},
            lock_mask=_path(self.lock_mask),
            change_mask=_path(self.change_mask),
            keep_by=None if self.keep_by is None else read_mesh_mask("--keep-by", self.keep_by),
            change_by=None if self.change_by is None else read_mesh_mask("--change-by", self.change_by),
            start=None if self.start is None else _one_of("--start", self.start, ("vertex-colors",)),
            oracle_texture=_path(self.oracle_texture),
            reference=_path(self.reference),
            device=checked_device(self.device or "auto"),
            rasterizer=checked_rasterizer(self.rasterizer or "auto"),
        )

    def _sized(self) -> TextureArguments:
        """Returns the arguments with the size of the texture that a run starts from, unless another one was chosen."""
        if self.texture_size is not None or self.init_texture is None:
            return self
        from pgc.images.sources import texture_side

        return replace(self, texture_size=texture_side(Path(self.init_texture)))


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _one_of(option: str, value: str, known: tuple[Any, ...]) -> Any:  # noqa: ANN401 - one of `known`
    if value not in known:
        raise ConfigError(f"{option} is {value!r}; expected one of {', '.join(known)}.")
    return value


def checked_device(value: str) -> DeviceName:
    """Raises ConfigError for anything but auto, cpu, cuda and mps."""
    from pgc.devices import DEVICES

    return _one_of("--device", value, DEVICES)


def guidance_named(spec: GuidanceSpec) -> str | None:
    """Returns what stands after --guidance for a prior; None where no command line says the same.

    Raises:
        GuidanceError: its files have gone.
    """
    from pgc.guidance.specs import OracleSpec, PocketSpec, parse_guidance

    of_files = () if isinstance(spec, OracleSpec | PocketSpec) else (spec.source,)
    return next((name for name in (*_MODEL_NAMES, *of_files) if parse_guidance(name) == spec), None)


def arguments_from_report(content: Mapping[str, Any], now: TextureArguments) -> TextureArguments:
    """Returns what a run was started with, to resume it; device, rasteriser and the places of a model's files may be
    named anew.

    Raises:
        ConfigError: other settings than the run's were given, or the report's are not ours.
    """
    stored = cast(dict[str, Any], dict(content.get("arguments") or {}))
    known = {item.name for item in fields(TextureArguments)}
    if not stored or not stored.keys() <= known:
        raise ConfigError("The run's report lacks its arguments, so it cannot be resumed; start it again.")
    readers = {
        name: offer.read for name, offer in choices_offered().items() if offer.read is not None and name in stored
    }
    settings = _resolved_here(content)
    if settings is not None:
        # Whatever this version would do by itself; a strength has meant other numbers of steps, too.
        stored["warm_start"] = settings.get("warm_start") is not None
        if settings.get("steps") is not None:
            stored.setdefault("steps", settings["steps"])
    earlier = TextureArguments(**{**stored, **{name: read(stored[name]) for name, read in readers.items()}})
    anew = {name: value for name in _OF_THE_MACHINE if (value := getattr(now, name)) is not None}
    anew |= {name: getattr(now, name) for name in _MOVABLE if _has_moved(name, content, earlier, now)}
    differing = [name for name in now.given() if name not in anew and getattr(earlier, name) != getattr(now, name)]
    if differing:
        raise ConfigError(
            f"A resumed run keeps its settings, but {', '.join(differing)} differ(s) from the run's; "
            "leave them out, or start a new run in another folder."
        )
    return replace(earlier, **anew)


def _has_moved(name: str, content: Mapping[str, Any], earlier: TextureArguments, now: TextureArguments) -> bool:
    """Whether the same files are named in another place, in the same order, with the same scales or words.

    Raises:
        ConfigError: one is not there, or has other bytes than the run's.
    """
    from pgc.runs.texture_request import digest_of

    before: dict[str, Any] = getattr(earlier, name) or {}
    files: dict[str, Any] = getattr(now, name) or {}
    told = (((content.get("resolved") or {}).get("guidance") or {}).get("added") or {}).get(name) or []
    if files == before or list(files.values()) != list(before.values()) or len(told) != len(files):
        return False
    for path, known in zip(files, told, strict=True):
        if not Path(path).is_file():
            raise ConfigError(f"{path}: there is no such file; check the path.")
        if digest_of(Path(path)) != known["sha256"]:
            raise ConfigError(f"{path} is another file than the run's {known['path']}; a resumed run keeps its files.")
    return True


def _resolved_here(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The loop's settings of a run; None: nothing says them. What a server does is its own affair: it knows its job."""
    return None if content.get("server") else ((content.get("resolved") or {}).get("settings") or {}).get("optimize")
