# SPDX-License-Identifier: Apache-2.0
"""What a job adds to its prior, put into it: files that it brings (LoRAs, learnt words), which lie among the server's
blobs, and what the server's owner has named (ControlNets, an IP-Adapter). The artist hears of files by the names that
they have on his machine, and of the others by those names; of no path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.errors import ConfigError, PgcError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.settings.added import AddableSpec, with_embeddings, with_ip_adapter, with_loras
from server.recipes.settings import NAMED, Load, PriorSpec

__all__ = ["JobFiles", "told_by_names"]


def told_by_names(text: str, named: Mapping[str, tuple[str, str]]) -> tuple[str, str | None]:
    """Returns a sentence with names for paths, and the field of the first of them; None where it names no path.

    Args:
        text: the sentence.
        named: of each path the field that brought it, and its name. Of `/a` and `/a-2` each stands for itself alone.
    """
    fields: list[str] = []

    def name_of(match: re.Match[str]) -> str:
        where, name = named[match[0]]
        fields.append(where)
        return name

    paths = "|".join(re.escape(path) for path in sorted(named, key=len, reverse=True))
    told = re.sub(rf"(?<![\w.+~@/\\-])(?:{paths})(?![\w+~@-]|\.\w)", name_of, text) if named else text
    return told, next(iter(fields), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFiles:
    """The files that a job adds to its model.

    Args:
        spec: the job.
        file_of: the file that holds an array's bytes and nothing else, compared with its name.
        named: where what the owner has named is, by kind and name.
    """

    spec: TextureJobSpec
    file_of: Callable[[ArrayRef], Path]
    named: Callable[[str, str], Path]
    _named: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]], init=False)
    """Of each path the field that brought it, and what the artist calls it."""
    _found: list[AddableSpec] = field(default_factory=list[AddableSpec], init=False)
    """The first prior that had them: hundreds of MB are hashed once, whatever plans of memory follow."""

    @property
    def has_any(self) -> bool:
        """Whether there are any."""
        added = self.spec.guidance.loras or self.spec.guidance.embeddings or self._adapter
        return bool(added) or any(control.model for control in self.spec.conditions.controls)

    @property
    def _adapter(self) -> str:
        reference = self.spec.conditions.reference
        return "" if reference is None else reference.adapter

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
        adapter = told.added.ip_adapter
        if adapter is not None:
            adapter = replace(adapter, path=f"{NAMED}{self._adapter}", image_encoder=f"{NAMED}{self._adapter}")
        return replace(prior, added=replace(told.added, loras=loras, embeddings=words, ip_adapter=adapter))

    def _loaded(self, load: Load) -> Load:
        def with_files(prior: PriorSpec, device: torch.device) -> Guidance:
            try:
                return load(self._added(prior), device)
            except PgcError as error:
                text, blamed = told_by_names(str(error), self._named)
                if blamed is None:
                    raise
                raise invalid(blamed, text) from error

        return with_files

    def _added(self, prior: PriorSpec) -> AddableSpec:
        if isinstance(prior, Zero123Spec):
            raise ConfigError("Zero123 takes no LoRA; name a model of Stable Diffusion, SDXL or a flow model.")
        if not self._found:
            self._found.append(self._first(prior))
        if isinstance(prior, PocketSpec | OracleSpec):
            return self._found[0]
        return self._placed(replace(prior, added=self._found[0].added))

    def _first(self, prior: GuidanceSpec) -> AddableSpec:
        wished = self.spec.guidance
        loras: dict[Path, float] = {}
        for number, lora in enumerate(wished.loras, start=1):
            loras[self._place(lora.file, "guidance.loras", lora.name or f"LoRA {number}")] = lora.scale
        words: dict[Path, str] = {}
        for one in wished.embeddings:
            words[self._place(one.file, "guidance.embeddings", one.name or f"The word {one.word}")] = one.word
        found = with_loras(prior, loras)
        found = with_embeddings(found, words) if words else found
        reference = self.spec.conditions.reference
        if reference is None or not reference.adapter:
            return found
        path = self._owned("ip-adapter", reference.adapter, "conditions.reference.adapter")
        return with_ip_adapter(found, path, reference.scale)

    def _placed(self, prior: AddableSpec) -> AddableSpec:
        """The prior with the ControlNets that were named, where they are."""
        if not isinstance(prior, StableDiffusionSpec | SDXLSpec):
            return prior
        names = {one.kind: one.model for one in self.spec.conditions.controls if one.model}
        places = {kind: str(self._owned(kind, name, "conditions.controls")) for kind, name in names.items()}
        controls = tuple(replace(one, source=places.get(one.wish.kind, one.source)) for one in prior.controls)
        return replace(prior, controls=controls, controlnet=places.get("depth", prior.controlnet))

    def _owned(self, kind: str, name: str, where: str) -> Path:
        path = self.named(kind, name)
        self._named[str(path)] = (where, f"{kind} {name}")
        return path

    def _place(self, file: ArrayRef, where: str, name: str) -> Path:
        path = self.file_of(file)
        self._named[str(path)] = (where, name)
        return path
