# SPDX-License-Identifier: Apache-2.0
"""What a run is asked to do, and the hash by which runs that may resume each other know themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pgc.baking.mesh_masks import MeshMask
from pgc.devices import DeviceName
from pgc.errors import ConfigError
from pgc.guidance.diffusion.added.specs import contents_of
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec
from pgc.maps import MapName
from pgc.mesh import UpAxis
from pgc.optimization.config import Prompt
from pgc.rendering.raster.choice import RasterizerName
from pgc.runs.settings.added import check_added
from pgc.runs.settings.controls import check_shuffle
from pgc.runs.settings.presets import RunSettings, preset_settings
from pgc.runs.sources.reading import SourceFiles, StartName, digest_of
from pgc.texture.hash_grid import HashGridTextureConfig

__all__ = ["TextureRequest"]


_OF_A_MASK = {"mask_start": "present", "soft_edge": 0}
"""Settings of a texture that came later, and what they are where nobody chose otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureRequest:
    """All that a run depends on. Two equal requests give equal textures (bit for bit on the CPU)."""

    mesh: Path
    prompt: Prompt
    guidance: GuidanceSpec = field(default_factory=PocketSpec)
    settings: RunSettings = field(default_factory=lambda: preset_settings("standard", PocketSpec()))
    up_axis: UpAxis | None = None
    """The file's up axis; None: that of its format."""
    unwrap: bool = False
    """Make new UVs even where the mesh has some, or is big."""
    keep_uvs: bool = False
    """Texture the mesh's own UVs even where they serve places with the same texel that should differ."""
    initial_texture: Path | None = None
    """An image of base colour, or a folder with maps as a run writes them."""
    initial_maps: Mapping[MapName, Path] = field(default_factory=dict[MapName, Path])
    """Images of further maps; they win over those in the folder."""
    start: StartName | None = None
    """What of the mesh itself the run starts from."""
    lock_mask: Path | None = None
    """Bright texels keep the initial texture's bytes."""
    change_mask: Path | None = None
    """The same the other way: texels that are not bright keep the initial texture's bytes."""
    keep_by: MeshMask | None = None
    """The same by a number that the mesh gives each texel; chosen texels keep the initial texture's bytes."""
    change_by: MeshMask | None = None
    """Texels that are not chosen keep the initial texture's bytes."""
    oracle_texture: Path | None = None
    """The material that the oracle knows; for no other prior."""
    reference: Path | None = None
    """A picture whose colours the texture is to take, and which the control shuffle and an IP-Adapter show."""
    device: DeviceName = "auto"
    rasterizer: RasterizerName = "auto"

    def __post_init__(self) -> None:
        self._check_start()
        self._check_masks()
        if isinstance(self.guidance, OracleSpec) != (self.oracle_texture is not None):
            raise ConfigError(
                "The oracle needs the texture that it is to know (--oracle-texture); no other prior does."
            )
        if self.unwrap and self.keep_uvs:
            raise ConfigError("--unwrap makes new UVs and --keep-uvs keeps the mesh's own; give one of them.")
        check_shuffle(self.guidance, self.reference)
        check_added(self.guidance, self.prompt, self.reference)
        if not self.prompt.text.strip():
            raise ConfigError("The prompt is empty; say what the texture is to be.")

    def files(self) -> tuple[Path, ...]:
        """Returns the mesh and the pictures that the run begins from."""
        given = (
            self.mesh, self.initial_texture, *self.initial_maps.values(), self.lock_mask, self.change_mask,
            self.oracle_texture, self.reference,
        )  # fmt: skip
        return tuple(path for path in given if path is not None)

    def _check_start(self) -> None:
        if self.start is not None and self.initial_texture is not None:
            raise ConfigError(f"--start is {self.start!r} and --init-texture an image; give one of them.")
        begun = self.start is not None or self.initial_texture is not None
        if begun and isinstance(self.settings.texture, HashGridTextureConfig):
            raise ConfigError("A hash grid starts from nothing; leave the texture to start from out, or --field.")
        if self.initial_maps and self.initial_texture is None:
            raise ConfigError("--init-map names a map beside base colour; give that too (--init-texture).")
        strange = [name for name in self.initial_maps if name not in self.settings.maps]
        if strange:
            raise ConfigError(f"--init-map gives {', '.join(strange)}, which --maps does not ask for.")
        if "occlusion" in self.initial_maps and not self._masks():
            raise ConfigError("Occlusion is computed; --init-map takes one only where a mask keeps some of it.")

    def _masks(self) -> list[str]:
        """The options that say which texels stay."""
        masks = {
            "--lock-mask": self.lock_mask, "--change-mask": self.change_mask,
            "--keep-by": self.keep_by, "--change-by": self.change_by,
        }  # fmt: skip
        return [option for option, mask in masks.items() if mask is not None]

    def _check_masks(self) -> None:
        masks = self._masks()
        if len(masks) > 1:
            raise ConfigError(f"{' and '.join(masks)} each say which texels stay; give one of them.")
        if masks and self.initial_texture is None:
            raise ConfigError(f"{masks[0]} keeps texels of the initial texture; give that too (--init-texture).")
        if self.settings.texture.mask_start != "present" and not masks:
            raise ConfigError("--mask-start is about what a mask leaves free; give one (--lock-mask, --change-mask).")
        if self.settings.texture.soft_edge and not masks:
            raise ConfigError("--soft-edge is about a mask's border; give a mask too (--lock-mask, --change-mask).")

    def source_files(self) -> SourceFiles:
        """Returns where the run's images are, and what else it starts from."""
        return SourceFiles(
            initial=self.initial_texture,
            start=self.start,
            lock_mask=self.lock_mask,
            change_mask=self.change_mask,
            keep_by=self.keep_by,
            change_by=self.change_by,
            oracle=self.oracle_texture,
            reference=self.reference,
            front_resolution=self.settings.optimize.resolution if self.settings.optimize.front_scale else 0,
            maps=self.initial_maps,
        )

    def fingerprint(self) -> str:
        """Hashes all settings and the contents of all files (SHA-256): equal for runs that may resume each other.

        Device and rasteriser are left out: a run may move to another machine, where its last bits may differ.
        """
        return hashlib.sha256(json.dumps(self.hashed(), sort_keys=True, default=str).encode()).hexdigest()

    def hashed(self) -> dict[str, Any]:
        """Returns what the fingerprint hashes: nothing that a version brought later and that was not chosen."""
        settings = asdict(replace(self, device="auto"))
        del settings["rasterizer"]
        # Runs of versions that did not know these go on.
        for name in ("start", "keep_by", "change_by"):
            if settings[name] is None:
                del settings[name]
        for name, off in _OF_A_MASK.items():
            if settings["settings"]["texture"][name] == off:
                del settings["settings"]["texture"][name]
        if self.initial_maps:
            settings["initial_maps"] = {name: digest_of(path) for name, path in self.initial_maps.items()}
        else:
            del settings["initial_maps"]
        settings["settings"]["optimize"] = self.settings.optimize.known_settings()
        if (how := settings["guidance"].get("run")) and MemorySavings(**how["memory"]) == MemorySavings():
            del how["memory"]
        if (added := settings["guidance"].pop("added", None)) and (contents := contents_of(added)):
            settings["guidance"]["added"] = contents
        for name in ("mesh", "initial_texture", "lock_mask", "change_mask", "oracle_texture", "reference"):
            path: Path | None = settings[name]
            settings[name] = None if path is None else digest_of(path)
        return settings
