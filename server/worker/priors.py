# SPDX-License-Identifier: Apache-2.0
"""Priors of a worker: one stays loaded between jobs, so that the next job with the same model starts at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.messages import ModelInfo
from pgc.devices import DeviceName, release_cached_memory, unused_accelerator
from pgc.errors import ConfigError
from pgc.guidance.base import Guidance
from pgc.guidance.control_specs import ControlSpec
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.models import ALL_MODELS, KNOWN_MODELS, PICTURE_MODELS, KnownModel, is_model_installed
from pgc.guidance.retuning import retuned, weights_of
from pgc.guidance.sources import WHOLE_FOLDER, is_installed, problem_of
from pgc.guidance.specs import (
    OracleSpec,
    SDXLSpec,
    StableDiffusionSpec,
    load_guidance,
    parse_guidance,
)
from pgc.runs.prior_device import check_prior_fits
from server.recipes import PriorSpec
from server.storage.named_files import NamedFiles
from server.worker.model_store import ModelStore

__all__ = ["Priors", "load_prior", "model_states", "named_states"]

_LOG = logging.getLogger(__name__)
Load = Callable[..., Guidance]


def load_prior(spec: PriorSpec, device: torch.device, *, cache_dir: Path | None, words: Path | None = None) -> Guidance:
    """Loads a texture's prior or one that sees a picture. `words` is where encoded prompts are kept. Raises PgcError
    where it cannot be loaded."""
    if not isinstance(spec, Zero123Spec):
        return load_guidance(spec, device, cache_dir=cache_dir, words=words)
    from pgc.guidance.diffusion.zero123.loading import load_zero123

    return load_zero123(spec, device, cache_dir=cache_dir)


class Priors:
    """Loads priors by specification and keeps the last one.

    Args:
        store: the server's own models; the user's own cache of the hub is looked at after it.
        load: of a texture's prior or one that sees a picture, or a stand-in.
        asked: the device that the server was started with; with "auto", a big prior is not loaded onto the CPU of a
            machine whose graphics card only lacks software.
    """

    def __init__(self, store: ModelStore, load: Load = load_prior, *, asked: DeviceName = "cpu") -> None:
        self._store = store
        self._asked: DeviceName = asked
        self._load = load
        self._kept: tuple[PriorSpec, torch.device, Guidance] | None = None

    @property
    def is_warm(self) -> bool:
        """Whether a prior is loaded."""
        return self._kept is not None

    def get(self, spec: PriorSpec, device: torch.device) -> Guidance:
        """Returns the prior, loaded now unless its weights are; an earlier one of the same weights is over.

        Raises:
            ProtocolError: the model is not on this machine, or its files have changed since they were pulled.
            PgcError: it cannot be loaded.
        """
        if self._kept is not None and self._kept[1] == device and weights_of(self._kept[0]) == weights_of(spec):
            if self._kept[0] != spec:
                kept, self._kept = self._kept[2], None
                # Where this fails, some of the new settings are in the old one: it is not used again.
                self._kept = (spec, device, retuned(kept, spec))
            return self._kept[2]
        self._check_device(spec, device)
        self.free()
        cache = self._find(spec)
        guidance = self._load(spec, device, cache_dir=cache)
        self._kept = (spec, device, guidance)
        return guidance

    def free(self) -> None:
        """Forgets the prior, and gives its memory back."""
        self._kept = None
        release_cached_memory()

    def _check_device(self, spec: PriorSpec, device: torch.device) -> None:
        try:
            notes = check_prior_fits(spec, self._asked, device, unused_accelerator())
        except ConfigError as error:
            text = f"On the server: {error}"
            raise ProtocolError(
                WireError(ErrorCode.MODEL_REFUSED, Retry.CHANGED, text, field="guidance.model")
            ) from error
        for note in notes:
            _LOG.warning("%s", note)

    def _find(self, spec: PriorSpec) -> Path | None:
        """Where the model's files are; None: with the package, or in the user's own cache."""
        model = _known(spec)
        if model is None or not model.downloads:
            return None
        if is_model_installed(model, cache_dir=self._store.root):
            problems = self._store.changed_files(model.key)
            if problems:
                raise ProtocolError(
                    WireError(
                        ErrorCode.MODEL_HASH,
                        Retry.CHANGED,
                        f"{model.title}: {len(problems)} file(s) on the server are not what was pulled, so it is not "
                        "loaded.",
                        field="guidance.model",
                        hint=f"On the server, run: pgc-server models pull {model.key}",
                    )
                )
            _require_controls(spec, self._store.root)
            return self._store.root
        if is_model_installed(model):
            _require_controls(spec, None)
            return None
        raise ProtocolError(
            WireError(
                ErrorCode.MODEL_MISSING,
                Retry.CHANGED,
                f"{model.title} is not installed on the server ({model.download_gb:.1f} GB to download).",
                field="guidance.model",
                hint=f"On the server, run: pgc-server models pull {model.key}",
            )
        )


def _require_controls(spec: PriorSpec, cache: Path | None) -> None:
    """Raises ProtocolError where a further ControlNet is not beside the model."""
    if not isinstance(spec, StableDiffusionSpec | SDXLSpec):
        return
    for control in spec.controls:
        if Path(control.source).is_absolute():
            _require_own(control)
        elif not is_installed(control.source, WHOLE_FOLDER, cache_dir=cache):
            # Clients hear of no folder: the place is said by what the owner calls it.
            place = "" if cache is None else " --cache-dir DATA/models (DATA: the server's --data)"
            command = f"hf download {control.source}{place}"
            raise ProtocolError(
                WireError(
                    ErrorCode.MODEL_MISSING,
                    Retry.CHANGED,
                    f"The ControlNet for {control.wish.kind} ({control.source}) is not installed on the server.",
                    field="conditions.controls",
                    hint=f"On the server, run: {command}",
                )
            )


def _require_own(control: ControlSpec) -> None:
    """The same of one that the server's owner has named: its place is told to the log alone."""
    try:
        problem = problem_of(Path(control.source), WHOLE_FOLDER)
    except OSError as error:
        problem = f"{control.source} cannot be read ({error.strerror})."
    if problem is None:
        return
    _LOG.warning("the ControlNet for %s: %s", control.wish.kind, problem)
    text = f"The ControlNet for {control.wish.kind} that was chosen by its name is not whole on the server."
    hint = "The server's owner finds what it lacks in the log: pgc-server logs"
    raise ProtocolError(WireError(ErrorCode.MODEL_MISSING, Retry.CHANGED, text, field="conditions.controls", hint=hint))


def _known(spec: PriorSpec) -> KnownModel | None:
    """The registry's entry that a specification was made from, whatever its run settings and ControlNet."""
    if isinstance(spec, OracleSpec):
        return None
    if isinstance(spec, Zero123Spec):
        return next(model for model in PICTURE_MODELS if any(spec.source == one.hub_id for one in model.downloads))
    for model in KNOWN_MODELS:
        base = parse_guidance(model.key)
        if type(base) is type(spec) and getattr(base, "source", None) == spec.source:
            return model
    return None


def named_states(files: NamedFiles) -> tuple[ModelInfo, ...]:
    """Says the same of what the server's owner has named. Raises ConfigError where that list is damaged."""
    return tuple(
        ModelInfo(f"{one.kind}:{one.key}", "installed" if one.is_there else "missing", "named by the server's owner")
        for one in files.all()
    )


def model_states(store: ModelStore) -> tuple[ModelInfo, ...]:
    """Says of each known model whether it is on this machine, for the broker's list."""
    return tuple(
        ModelInfo(
            model.key,
            "installed" if is_model_installed(model, cache_dir=store.root) or is_model_installed(model) else "missing",
        )
        for model in ALL_MODELS
    )
