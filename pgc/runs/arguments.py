# SPDX-License-Identifier: Apache-2.0
"""The options of `pgc texture` as plain data, and from there to a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pgc.errors import ConfigError

if TYPE_CHECKING:
    from pgc.devices import DeviceName
    from pgc.runs.presets import RunSettings
    from pgc.runs.request import TextureRequest

__all__ = ["TextureArguments", "arguments_from_report", "checked_device"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureArguments:
    """What stands on the command line; None is "not given"."""

    mesh: str | None = None
    prompt: str | None = None
    negative: str | None = None
    guidance: str | None = None
    preset: str | None = None
    steps: int | None = None
    resolution: int | None = None
    texture_size: int | None = None
    seed: int | None = None
    views: int | None = None
    maps: str | None = None
    front: str | None = None
    up: str | None = None
    init_texture: str | None = None
    lock_mask: str | None = None
    oracle_texture: str | None = None
    view_prompts: bool | None = None
    unwrap: bool | None = None
    keep_uvs: bool | None = None
    separate_slots: bool | None = None
    device: str | None = None

    def with_absolute_paths(self) -> TextureArguments:
        """The same with paths that hold in any folder."""
        names = ("mesh", "init_texture", "lock_mask", "oracle_texture")
        given = {name: getattr(self, name) for name in names}
        return replace(self, **{name: str(Path(path).absolute()) for name, path in given.items() if path is not None})

    def given(self) -> dict[str, Any]:
        """Only what stands on the command line."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def to_request(self) -> TextureRequest:
        """The request, with the preset's settings for what is not given.

        Raises:
            PgcError: something is missing, unknown or out of range.
        """
        from pgc.guidance.specs import parse_guidance
        from pgc.maps import need_light, parse_maps
        from pgc.optimization.config import Prompt
        from pgc.runs.presets import PRESETS, lit_prior, preset_settings, with_maps, with_separate_slots
        from pgc.runs.request import TextureRequest

        if self.mesh is None or self.prompt is None:
            raise ConfigError("A run needs a mesh and --prompt; only --resume does without.")
        spec = parse_guidance(self.guidance or "pocket")
        settings = self._override(preset_settings(_one_of("--preset", self.preset or "standard", PRESETS), spec))
        maps = parse_maps(self.maps or "base_color")
        settings = with_maps(settings, spec, maps)
        return TextureRequest(
            mesh=Path(self.mesh),
            prompt=Prompt(
                text=self.prompt,
                negative=self.negative or "",
                view_dependent=self.view_prompts is not False,
                front_axis=_one_of("--front", self.front or "-y", ("-y", "+y", "-x", "+x")),
            ),
            guidance=lit_prior(spec) if need_light(maps) else spec,
            settings=with_separate_slots(settings) if self.separate_slots else settings,
            up_axis=None if self.up is None else _one_of("--up", self.up, ("y", "z")),
            unwrap=bool(self.unwrap),
            keep_uvs=bool(self.keep_uvs),
            initial_texture=_path(self.init_texture),
            lock_mask=_path(self.lock_mask),
            oracle_texture=_path(self.oracle_texture),
            device=checked_device(self.device or "auto"),
        )

    def _override(self, settings: RunSettings) -> RunSettings:
        from pgc.images.sources import texture_side
        from pgc.runs.presets import with_overrides

        texture_size = self.texture_size
        if texture_size is None and self.init_texture is not None:
            # A run that starts from a texture keeps its size unless told otherwise.
            texture_size = texture_side(Path(self.init_texture))
        return with_overrides(
            settings,
            steps=self.steps,
            views=self.views,
            resolution=self.resolution,
            texture_size=texture_size,
            seed=self.seed,
        )


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


def arguments_from_report(content: Mapping[str, Any], now: TextureArguments) -> TextureArguments:
    """What a run was started with, to resume it; a device may be named anew.

    Raises:
        ConfigError: other settings than the run's were given, or the report's are not ours.
    """
    stored = cast(dict[str, Any], dict(content.get("arguments") or {}))
    known = {item.name for item in fields(TextureArguments)}
    if not stored or not stored.keys() <= known:
        raise ConfigError("The run's report lacks its arguments, so it cannot be resumed; start it again.")
    differing = [name for name, value in now.given().items() if name != "device" and stored.get(name) != value]
    if differing:
        raise ConfigError(
            f"A resumed run keeps its settings, but {', '.join(differing)} differ(s) from the run's; "
            "leave them out, or start a new run in another folder."
        )
    if now.device is not None:
        stored["device"] = now.device
    return TextureArguments(**stored)
