# SPDX-License-Identifier: Apache-2.0
"""LoRA files that a job brings, put into its prior. They lie among the server's blobs; the artist hears of them by the
names that they have on his machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import LoraSpec
from pgc.errors import ConfigError, PgcError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import OracleSpec, PocketSpec
from pgc.runs.settings.added import AddableSpec, with_loras
from server.recipes.settings import Load, PriorSpec

__all__ = ["JobLoras"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLoras:
    """The LoRA files of a job.

    Args:
        files: as the job names them.
        file_of: the file that holds an array's bytes and nothing else, compared with its name.
    """

    files: tuple[LoraSpec, ...]
    file_of: Callable[[ArrayRef], Path]
    _named: dict[str, str] = field(default_factory=dict[str, str], init=False)
    """What the artist calls each path."""
    _found: list[AddableSpec] = field(default_factory=list[AddableSpec], init=False)
    """The first prior that had them: hundreds of MB are hashed once, whatever plans of memory follow."""

    def loading(self, load: Load) -> Load:
        """Returns what loads a prior with these files in it.

        What it returns raises ProtocolError where a file is none, or was made for another model; else as `load` does.
        """
        return self._loaded(load) if self.files else load

    def told(self, prior: PriorSpec) -> PriorSpec:
        """Returns a prior as a report names it: its LoRA files by the artist's names."""
        if not self.files or isinstance(prior, PocketSpec | OracleSpec | Zero123Spec):
            return prior
        told = self._added(prior)
        loras = tuple(replace(lora, path=self._named[lora.path]) for lora in told.added.loras)
        return replace(told, added=replace(told.added, loras=loras))

    def _loaded(self, load: Load) -> Load:
        def with_files(prior: PriorSpec, device: torch.device) -> Guidance:
            try:
                return load(self._added(prior), device)
            except PgcError as error:
                text = str(error)
                for path, name in self._named.items():
                    text = text.replace(path, name)
                if text == str(error):
                    raise
                raise invalid("guidance.loras", text) from error

        return with_files

    def _added(self, prior: PriorSpec) -> AddableSpec:
        if self._found and not isinstance(prior, PocketSpec | OracleSpec | Zero123Spec):
            return replace(prior, added=self._found[0].added)
        if isinstance(prior, Zero123Spec):
            raise ConfigError("Zero123 takes no LoRA; name a model of Stable Diffusion, SDXL or a flow model.")
        paths: dict[Path, float] = {}
        for number, lora in enumerate(self.files, start=1):
            path = self.file_of(lora.file)
            self._named[str(path)] = lora.name or f"LoRA {number}"
            paths[path] = lora.scale
        self._found.append(with_loras(prior, paths))
        return self._found[0]
