# SPDX-License-Identifier: Apache-2.0
"""Files that a job brings for its prior, LoRAs and learnt words, put into it. They lie among the server's blobs; the
artist hears of them by the names that they have on his machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import ModelSpec
from pgc.errors import ConfigError, PgcError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import OracleSpec, PocketSpec
from pgc.runs.settings.added import AddableSpec, with_embeddings, with_loras
from server.recipes.settings import Load, PriorSpec

__all__ = ["JobFiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFiles:
    """The files that a job adds to its model.

    Args:
        wished: as the job names them.
        file_of: the file that holds an array's bytes and nothing else, compared with its name.
    """

    wished: ModelSpec
    file_of: Callable[[ArrayRef], Path]
    _named: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]], init=False)
    """Of each path the field that brought it, and what the artist calls it."""
    _found: list[AddableSpec] = field(default_factory=list[AddableSpec], init=False)
    """The first prior that had them: hundreds of MB are hashed once, whatever plans of memory follow."""

    @property
    def has_any(self) -> bool:
        """Whether there are any."""
        return bool(self.wished.loras or self.wished.embeddings)

    def loading(self, load: Load) -> Load:
        """Returns what loads a prior with these files in it.

        What it returns raises ProtocolError where a file is none, or was made for another model; else as `load` does.
        """
        return self._loaded(load) if self.has_any else load

    def told(self, prior: PriorSpec) -> PriorSpec:
        """Returns a prior as a report names it: its files by the artist's names."""
        if not self.has_any or isinstance(prior, PocketSpec | OracleSpec | Zero123Spec):
            return prior
        told = self._added(prior)
        loras = tuple(replace(lora, path=self._named[lora.path][1]) for lora in told.added.loras)
        words = tuple(replace(word, path=self._named[word.path][1]) for word in told.added.embeddings)
        return replace(told, added=replace(told.added, loras=loras, embeddings=words))

    def _loaded(self, load: Load) -> Load:
        def with_files(prior: PriorSpec, device: torch.device) -> Guidance:
            try:
                return load(self._added(prior), device)
            except PgcError as error:
                text, blamed = str(error), None
                for path, (where, name) in self._named.items():
                    if path in text:
                        text, blamed = text.replace(path, name), blamed or where
                if blamed is None:
                    raise
                raise invalid(blamed, text) from error

        return with_files

    def _added(self, prior: PriorSpec) -> AddableSpec:
        if self._found and not isinstance(prior, PocketSpec | OracleSpec | Zero123Spec):
            return replace(prior, added=self._found[0].added)
        if isinstance(prior, Zero123Spec):
            raise ConfigError("Zero123 takes no LoRA; name a model of Stable Diffusion, SDXL or a flow model.")
        loras: dict[Path, float] = {}
        for number, lora in enumerate(self.wished.loras, start=1):
            loras[self._place(lora.file, "guidance.loras", lora.name or f"LoRA {number}")] = lora.scale
        words: dict[Path, str] = {}
        for one in self.wished.embeddings:
            words[self._place(one.file, "guidance.embeddings", one.name or f"The word {one.word}")] = one.word
        found = with_loras(prior, loras)
        self._found.append(with_embeddings(found, words) if words else found)
        return self._found[0]

    def _place(self, file: ArrayRef, where: str, name: str) -> Path:
        path = self.file_of(file)
        self._named[str(path)] = (where, name)
        return path
