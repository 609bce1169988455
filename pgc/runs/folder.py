# SPDX-License-Identifier: Apache-2.0
"""The folder of one run, and the files in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor

from pgc.errors import CheckpointError, ConfigError
from pgc.export.glb import write_glb
from pgc.export.material import ExportConfig, export_material
from pgc.export.packing import pack_orm
from pgc.images.maps import encode_maps, encode_png, map_file_names
from pgc.maps import MAPS
from pgc.mesh import PreparedMesh
from pgc.pictures.contact_sheet import PreviewConfig, render_preview
from pgc.pictures.studio import Framing, Look, baked_look
from pgc.pictures.turntable import TurntableConfig, render_turntable
from pgc.rendering.harmonics import drawn_environment
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.rendering.tone_curve import picture_from_radiance
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.report import FORMAT, SHAPE_FORMAT, VOLUME_FORMAT, read_report
from pgc.texture.field import BakedTexture, to_uint8_values
from pgc.whole_files import remove_leftovers, write_bytes

__all__ = ["LEFT_BEHIND", "LeftBehind", "OutputConfig", "PreviewCadence", "RunFolder"]

_FORMATS = (FORMAT, SHAPE_FORMAT, VOLUME_FORMAT)
_LIGHT_ROWS = 64
_ENDED = ("failed", "interrupted")
_TEXTURED = ("textured.glb", "turntable.webp", "orm.png")
_PREVIEW_SHARE = 20.0
"""Of a long run's time, no more than a twentieth goes into previews."""
LeftBehind = Literal["nothing", "unfinished", "finished"]
LEFT_BEHIND: tuple[LeftBehind, ...] = get_args(LeftBehind)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """What is written, and how often while a run goes on."""

    preview: PreviewConfig = field(default_factory=PreviewConfig)
    turntable: TurntableConfig | None = field(default_factory=TurntableConfig)
    """None: no turntable."""
    first_preview_seconds: float = 2.0
    """After the start of the loop."""
    preview_growth: float = 2.0
    """The time to the next preview over the time to this one, until `preview_most_seconds` are reached."""
    preview_most_seconds: float = 30.0
    """Between previews, at the most; or twenty times what making one takes, where that is longer."""
    checkpoint_seconds: float = 60.0
    """Between checkpoints, so that a crash costs no more."""
    export: ExportConfig | None = None
    """Also written to the folder `export`, from the texture itself: all its bits are there."""

    def __post_init__(self) -> None:
        if not self.first_preview_seconds >= 0 or not self.checkpoint_seconds > 0:
            raise ConfigError("first_preview_seconds must be 0 or more, and checkpoint_seconds above 0.")
        if not self.preview_growth > 1:
            raise ConfigError(f"preview_growth is {self.preview_growth}; it must be above 1.")
        if not self.preview_most_seconds > 0:
            raise ConfigError(f"preview_most_seconds is {self.preview_most_seconds}; it must be above 0.")


class PreviewCadence:
    """When the next preview is due: the time to it grows to its most, and previews cost a small share of any run.

    Args:
        config: by how much it grows, and how far.
        begun: when the steps began, in seconds of any clock.
        first: when the first preview is due, by the same clock.
    """

    def __init__(self, config: OutputConfig, begun: float, first: float) -> None:
        self._config = config
        self._begun = begun
        self._due = first

    def is_due(self, now: float) -> bool:
        """Says whether to make one now."""
        return now >= self._due

    def made(self, now: float, took: float = 0.0) -> None:
        """Notes that one was begun now, and took so many seconds."""
        running = max(now - self._begun, self._config.first_preview_seconds)
        most = max(self._config.preview_most_seconds, _PREVIEW_SHARE * took)
        self._due = now + min(running * (self._config.preview_growth - 1.0), most)


class RunFolder:
    """Where a run writes. All files are written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def report(self) -> Path:
        """The path of run.json."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """The path of checkpoint.safetensors, which is there while a run is unfinished."""
        return self.path / "checkpoint.safetensors"

    @property
    def preview(self) -> Path:
        """The path of preview.png, which is there from the first seconds on."""
        return self.path / "preview.png"

    def check_free(self, *, overwrite: bool) -> None:
        """Raises ConfigError where something is in it already and may not be overwritten, it is a file, or nothing can
        be written there."""
        if self.path.is_file():
            raise ConfigError(f"{self.path} is a file; --out needs a folder.")
        above = next((one for one in (self.path, *self.path.absolute().parents) if one.exists()), self.path)
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            why = "nothing can be written to it" if above.is_dir() else "it is a file"
            raise ConfigError(f"The folder {self.path} cannot be made in {above}: {why}; choose another --out.")
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            hint = "--resume continues its run, " if self.checkpoint.is_file() else ""
            raise ConfigError(f"The folder {self.path} is not empty; {hint}--overwrite replaces what is there.")

    def claim(self, *, overwrite: bool, spared: Iterable[Path] = ()) -> None:
        """Makes the folder for a new run. What an earlier one wrote is set aside until this one has a result.

        Args:
            spared: files that a texture run begins from, which it must neither move nor replace.

        Raises:
            ConfigError: something is in it already and may not be overwritten, it is a file, or one of those would go.
        """
        self.check_free(overwrite=overwrite)
        names = {*self.files_of_report(), *self._own_names(), *_TEXTURED, *(f"{name}.png" for name in MAPS)}
        replaced = {(self.path / name).resolve() for name in names}
        for path in spared:
            if path.resolve() in replaced:
                raise ConfigError(f"The run would replace {path}, which it begins from; choose another --out.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The folder {self.path} cannot be made ({error}); choose another --out.") from error
        self.remove_leftovers()
        earlier = EarlierRun(self.path)
        if earlier.is_there:
            # A run was killed before it had a result: what it was to replace is the run that is here.
            self._forget_unfinished()
            earlier.give_back()
        # A checkpoint of the run that was here would be taken for this one's, and its maps too, where this one makes
        # others.
        earlier.set_aside(dict.fromkeys((*self.files_of_report(), *self._own_names())))

    def left_behind(self) -> LeftBehind:
        """Says how far a run got here: a command that may be repeated begins, goes on, or has nothing to do.

        Raises:
            CheckpointError: there is a report that cannot be read or is none of ours; nobody said to replace it.
        """
        if not self.report.exists():
            return "nothing"
        if read_report(self.report).get("state") == "finished":
            return "finished"
        return "unfinished" if self._can_go_on() else "nothing"

    @property
    def is_finished(self) -> bool:
        """Whether the report that is here, of a run of any kind, says so."""
        return self._report_of_any().get("state") == "finished"

    @contextmanager
    def giving_back(self) -> Iterator[None]:
        """Puts back what the new run was to replace, where the block raises and that run left nothing to go on from.

        Of a job that its server never took nothing stays: there is no run yet."""
        try:
            yield
        except BaseException:
            earlier = EarlierRun(self.path)
            if not self._can_go_on() and (earlier.is_there or self._was_refused()):
                self._forget_unfinished()
                earlier.give_back()
            raise

    def _can_go_on(self) -> bool:
        """Whether --resume has something to start from: a checkpoint, or a job on a server, which ends for good where
        it fails or is cancelled."""
        report = self._report_of_any()
        return self.checkpoint.is_file() or (bool(report.get("server")) and report.get("state") not in _ENDED)

    def _was_refused(self) -> bool:
        """Whether a server was asked and did not take the job."""
        report = self._report_of_any()
        return bool(report.get("server")) and report.get("state") == "failed" and not report["server"].get("job")

    def _report_of_any(self) -> dict[str, Any]:
        """The report of a run of any kind; empty where there is none."""
        try:
            return read_report(self.report, _FORMATS)
        except CheckpointError:
            return {}

    def _forget_unfinished(self) -> None:
        for name in self._own_names():
            (self.path / name).unlink(missing_ok=True)

    def _own_names(self) -> list[str]:
        """What a run writes before its result."""
        return [path.name for path in (self.report, self.checkpoint, self.preview)]

    def remove_leftovers(self) -> None:
        """Removes what killed runs left half-written, here and in the folder of exports."""
        for folder in (self.path, self.path / "export"):
            remove_leftovers(folder)

    def files_of_report(self) -> list[str]:
        """Returns what the run that was here, of any kind, says it wrote; nothing where there was none."""
        files = self._report_of_any().get("files")
        return [str(name) for name in files] if isinstance(files, dict) else []

    def place_of(self, mesh: str | None) -> str | None:
        """Returns where the run's mesh is now: where it was, or in the folder above, where that was moved as a whole
        and its own report names the same bytes."""
        if mesh is None or Path(mesh).exists():
            return mesh
        beside = self.path.absolute().parent / Path(mesh).name
        try:
            files = read_report(beside.parent / self.report.name, _FORMATS).get("files")
        except CheckpointError:
            # No run's folder: the mesh's reader says what is missing.
            return mesh
        known = files.get(beside.name) if isinstance(files, dict) else None
        is_same = beside.is_file() and hashlib.sha256(beside.read_bytes()).hexdigest() == known
        return str(beside) if is_same else mesh

    def write_preview(self, rasterizer: Rasterizer, look: Look, framing: Framing, config: PreviewConfig) -> None:
        """Writes preview.png."""
        write_bytes(self.preview, render_preview(rasterizer, look, framing, config))

    def write_texture(
        self, mesh: PreparedMesh, texture: BakedTexture, rasterizer: Rasterizer, framing: Framing, config: OutputConfig
    ) -> dict[str, str]:
        """Writes maps, ORM, GLB, contact sheet, turntable and exports; returns each file's SHA-256 by its path in the
        folder."""
        written: list[Path] = []
        encoded = {**encode_maps(texture), **_encode_orm(texture)}
        for name, images in encoded.items():
            for tile, file_name in map_file_names(name, texture.tiles).items():
                write_bytes(self.path / file_name, images[tile])
                written.append(self.path / file_name)
        glb = self.path / "textured.glb"
        write_glb(glb, mesh, _named(encoded))
        look = baked_look(texture, repeat=mesh.report.needs_repeat)
        self.write_preview(rasterizer, look, framing, config.preview)
        written += [glb, self.preview]
        if config.turntable is not None:
            turntable = self.path / "turntable.webp"
            write_bytes(turntable, render_turntable(rasterizer, look, framing, config.turntable))
            written.append(turntable)
        if config.export is not None:
            written += export_material(self.path / "export", mesh, texture, config.export)
        # Now there is a result to take the place of the earlier one's.
        EarlierRun(self.path).drop()
        names = {file.relative_to(self.path).as_posix(): file for file in written}
        return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in names.items()}

    def write_found_light(self, coefficients: Float[Tensor, "k 3"]) -> dict[str, str]:
        """Writes found_light.png, the light as a picture of all directions (`pgc.rendering.latlong`), as bright as a
        mirror ball would show it; returns its SHA-256 by its name."""
        path = self.path / "found_light.png"
        light = drawn_environment(path.stem, coefficients.detach().float().cpu(), _LIGHT_ROWS)
        data = encode_png(to_uint8_values(picture_from_radiance(light.radiance)))
        write_bytes(path, data)
        return {path.name: hashlib.sha256(data).hexdigest()}


def _encode_orm(texture: BakedTexture) -> dict[str, dict[int, bytes]]:
    """Occlusion, roughness and metallic as the three channels of one PNG a tile; nothing where there is none of them.

    Of what is missing the channel says what its absence means (see `pgc.export.packing`)."""
    packed = pack_orm(texture)
    if packed is None:
        return {}
    return {
        "orm": {tile: encode_png(to_uint8_values(image)) for tile, image in zip(texture.tiles, packed, strict=True)}
    }


def _named(encoded: Mapping[str, Mapping[int, bytes]]) -> dict[str, bytes]:
    """PNG bytes by name and tile, base_color.1001, as the GLB writer takes them."""
    return {f"{name}.{tile}": data for name, images in encoded.items() for tile, data in images.items()}
