# SPDX-License-Identifier: Apache-2.0
"""Models are pulled whole: all that a known one needs, or what a hub id turns out to be."""

from __future__ import annotations

from pathlib import Path

from pgc.errors import GuidanceError
from pgc.guidance.fetching import UnusableModelError, fetch
from pgc.guidance.models import KnownModel, needed_parts, parts_of
from pgc.guidance.sources import (
    WHOLE_FOLDER,
    ZERO123_LAYOUTS,
    is_installed,
    locate,
    model_kind,
    model_parts,
    pipeline_name,
    zero123_parts,
)
from pgc.guidance.specs import FluxSpec, SD3Spec, ZImageSpec

__all__ = ["pull_hub_id", "pull_model"]


def pull_model(model: KnownModel, *, cache_dir: Path | None = None) -> tuple[Path, ...]:
    """Downloads all that a known model needs and that is not here yet; returns its folders.

    Raises:
        GuidanceError: a part was refused by the hub, or is out of reach.
    """
    return tuple(
        locate(source, parts, cache_dir=cache_dir)
        if is_installed(source, parts, cache_dir=cache_dir)
        else fetch(source, parts, half=True, cache_dir=cache_dir)
        for source, parts in parts_of(model)
    )


def pull_hub_id(hub_id: str, *, cache_dir: Path | None = None) -> Path:
    """Downloads a model, or a ControlNet or autoencoder, that is known by its hub id alone.

    Raises:
        GuidanceError: it is neither, was refused by the hub, or is out of reach.
    """
    problems: list[str] = []
    for parts in (model_parts(xl=False), WHOLE_FOLDER):
        try:
            folder = fetch(hub_id, parts, half=True, cache_dir=cache_dir)
        except UnusableModelError as error:
            problems.append(str(error))
            layout = ZERO123_LAYOUTS.get(pipeline_name(hub_id, cache_dir=cache_dir))
            if layout is not None:
                return fetch(hub_id, zero123_parts(layout), half=True, cache_dir=cache_dir)
            flow = _flow_spec(hub_id, cache_dir)
            if flow is not None:
                ((_, needed),) = needed_parts(flow)
                return fetch(hub_id, needed, half=True, cache_dir=cache_dir)
            continue
        if (folder / "text_encoder_2").is_dir() or _is_xl(folder):
            return fetch(hub_id, model_parts(xl=True), half=True, cache_dir=cache_dir)
        return folder
    raise GuidanceError(problems[0])


def _flow_spec(hub_id: str, cache_dir: Path | None) -> SD3Spec | FluxSpec | ZImageSpec | None:
    """Which flow model this is, by the index that has been downloaded; None: it is none, or that says nothing."""
    try:
        kind = model_kind(hub_id, cache_dir=cache_dir)
    except GuidanceError:
        return None
    match kind:
        case "sd3":
            return SD3Spec(source=hub_id)
        case "flux":
            return FluxSpec(source=hub_id)
        case "z_image":
            return ZImageSpec(source=hub_id)
        case _:
            return None


def _is_xl(folder: Path) -> bool:
    index = folder / "model_index.json"
    return index.is_file() and "StableDiffusionXL" in index.read_text("utf-8", "replace")
