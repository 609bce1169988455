# SPDX-License-Identifier: Apache-2.0
"""Where a model's files are: a hub id becomes a complete local folder, and every refusal becomes one clear sentence.

`locate` never asks the network: gigabytes, and the word to a hub of what somebody is about to do, are a matter of
their own (`pgc.guidance.fetching`, behind `pgc models pull`).

Safetensors only: the other formats are Python pickles, which run code as they load.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from pgc.errors import GuidanceError

__all__ = [
    "HUB_ID",
    "WHOLE_FOLDER",
    "ZERO123_LAYOUTS",
    "ModelKind",
    "ModelParts",
    "flow_parts",
    "is_installed",
    "locate",
    "model_kind",
    "model_parts",
    "packaged_pocket",
    "pipeline_name",
    "problem_of",
    "read_json",
    "single_file_kind",
    "users_words",
    "weights_variant",
    "zero123_folder",
    "zero123_parts",
]

ModelKind = Literal["pocket", "sd1", "sd2", "sdxl", "sd3", "flux", "z_image"]
Zero123Folder = Literal["clip_camera_projection", "cc_projection"]

_FLOW_PIPELINES: dict[str, ModelKind] = {
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "ZImagePipeline": "z_image",
}
ZERO123_LAYOUTS: dict[str, Zero123Folder] = {
    "Zero123Pipeline": "clip_camera_projection",
    "Zero1to3StableDiffusionPipeline": "cc_projection",
}
"""Where each published layout of Zero123 has its layer for the camera, by what its index calls the pipeline."""
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_model|model)(\.fp16)?(?:-\d+-of-\d+)?\.safetensors")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParts:
    """What is needed of a model's folder; "" stands for the folder itself."""

    weights: tuple[str, ...]
    """Subfolders with a config.json and weights."""
    settings: tuple[str, ...] = ()
    """Subfolders of which only the small files are needed: schedulers, tokenizers."""


WHOLE_FOLDER = ModelParts(weights=("",))
"""A ControlNet's or an autoencoder's own folder."""


def model_parts(*, xl: bool) -> ModelParts:
    """Names all of a Stable Diffusion model but its ControlNet."""
    if xl:
        return ModelParts(
            weights=("vae", "unet", "text_encoder", "text_encoder_2"),
            settings=("scheduler", "tokenizer", "tokenizer_2"),
        )
    return ModelParts(weights=("vae", "unet", "text_encoder"), settings=("scheduler", "tokenizer"))


def flow_parts(readers: int) -> ModelParts:
    """Names all of a flow model (SD3, FLUX, Z-Image) with so many text encoders."""
    endings = [""] + [f"_{number}" for number in range(2, readers + 1)]
    return ModelParts(
        weights=("vae", "transformer", *(f"text_encoder{ending}" for ending in endings)),
        settings=("scheduler", *(f"tokenizer{ending}" for ending in endings)),
    )


def zero123_parts(projection: Zero123Folder) -> ModelParts:
    """Names all of a Zero123 whose layer for the camera is in this folder."""
    return ModelParts(weights=("vae", "unet", "image_encoder", projection), settings=("scheduler",))


def zero123_folder(source: str, *, cache_dir: Path | None = None) -> Zero123Folder:
    """Says in which folder a Zero123 has its layer for the camera."""
    return ZERO123_LAYOUTS.get(pipeline_name(source, cache_dir=cache_dir), "clip_camera_projection")


def users_words() -> Path | None:
    """Returns the folder of prompts that this user's runs have encoded; None where no home is known."""
    folder = Path(platformdirs.user_cache_dir("pgc-texture", appauthor=False)) / "words"
    return folder if folder.is_absolute() else None


def packaged_pocket() -> Path:
    """Says where the pocket prior is in this package, if this copy has it."""
    return Path(str(importlib.resources.files("pgc.pocket"))) / "weights"


def locate(source: str, parts: ModelParts, *, cache_dir: Path | None = None) -> Path:
    """Finds the local folder of a model, complete as far as `parts` goes: given, or in huggingface_hub's cache. The
    network is not asked.

    Args:
        source: a folder, or a hub id.
        cache_dir: huggingface_hub's cache, by default its own choice (HF_HUB_CACHE).

    Raises:
        GuidanceError: no such folder, or the model is not on this machine, incomplete, or without safetensors.
    """
    folder = Path(source)
    if folder.is_dir():
        problem = problem_of(folder, parts)
        if problem is not None:
            raise GuidanceError(f"{source} is no usable model: {problem}")
        return folder
    if not HUB_ID.fullmatch(source) or folder.suffix.lower() in (*_PICKLES, ".safetensors"):
        raise GuidanceError(
            f"There is no file or folder {source}, and it is no hub id (owner/name) either; give one of the three."
        )
    cached = _cached(source, cache_dir)
    if cached is not None and problem_of(cached, parts) is None:
        return cached
    state = (
        "is not on this machine" if cached is None else f"is not complete on this machine ({problem_of(cached, parts)})"
    )
    raise GuidanceError(
        f"{source} {state}, and nothing is downloaded unasked. Fetch it with: pgc models pull {source} - or give a "
        "folder or a .safetensors file with --guidance PATH."
    )


def is_installed(source: str, parts: ModelParts, *, cache_dir: Path | None = None) -> bool:
    """Says whether `locate` would succeed without a network."""
    folder: Path | None = Path(source)
    if not Path(source).is_dir():
        folder = _cached(source, cache_dir) if HUB_ID.fullmatch(source) else None
    return folder is not None and problem_of(folder, parts) is None


def model_kind(source: str, *, cache_dir: Path | None = None) -> ModelKind:
    """Says which family a folder, or a hub id that has been downloaded, belongs to: by its own description of itself.

    Raises:
        GuidanceError: nothing there, or a model of another family.
    """
    folder: Path | None = Path(source)
    if not Path(source).is_dir():
        folder = _cached(source, cache_dir) if HUB_ID.fullmatch(source) else None
    if folder is None:
        raise GuidanceError(
            f"There is no model {source} on this machine; expected pocket, sd15, sd21, sdxl, a folder, a .safetensors "
            f"file, or a hub id (owner/name) after: pgc models pull {source}"
        )
    if (folder / "vocabulary.json").is_file():
        return "pocket"
    read_json(folder / "model_index.json")
    name = pipeline_name(source, cache_dir=cache_dir)
    if name in _FLOW_PIPELINES:
        return _FLOW_PIPELINES[name]
    if name in ZERO123_LAYOUTS:
        raise GuidanceError(
            f"{source} is a Zero123, which knows an object by a picture of it and reads no prompt: take pgc image."
        )
    if not name.startswith("StableDiffusion") or name.startswith("StableDiffusion3"):
        raise GuidanceError(
            f"{source} is a {name or 'nameless'} model; expected Stable Diffusion 1, 2, XL or 3, FLUX.1 or Z-Image "
            "(text to image) in the diffusers format."
        )
    if name.startswith("StableDiffusionXL"):
        return "sdxl"
    # OpenCLIP's encoder, which Stable Diffusion 2 reads with, is 1024 wide; CLIP's, of version 1, is 768.
    return "sd2" if read_json(folder / "text_encoder" / "config.json").get("hidden_size") == 1024 else "sd1"


def pipeline_name(source: str, *, cache_dir: Path | None = None) -> str:
    """Returns what the index of a folder or a downloaded hub id calls its pipeline; "" where that is not to be had."""
    folder: Path | None = Path(source)
    if not Path(source).is_dir():
        folder = _cached(source, cache_dir) if HUB_ID.fullmatch(source) else None
    if folder is None or not (folder / "model_index.json").is_file():
        return ""
    return str(read_json(folder / "model_index.json").get("_class_name", ""))


def weights_variant(folder: Path, *, half: bool) -> str | None:
    """Returns the `variant` to ask from_pretrained for: "fp16", or None for the plain files.

    fp16 files are taken where half precision is wanted, or where there is nothing else.

    Raises:
        GuidanceError: no safetensors in the folder.
    """
    names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    matches = [match for name in names if (match := _WEIGHTS.fullmatch(name))]
    if not matches:
        pickles = sorted(name for name in names if Path(name).suffix in _PICKLES)
        if pickles:
            raise GuidanceError(
                f"{folder} holds {pickles[0]} but no .safetensors; only .safetensors is loaded, because the other "
                "formats can run code. Get the safetensors version of the model, or convert it on a machine you trust."
            )
        raise GuidanceError(f"{folder} holds no weights; expected diffusion_pytorch_model or model .safetensors.")
    fp16 = any(match[1] for match in matches)
    plain = any(not match[1] for match in matches)
    return "fp16" if fp16 and (half or not plain) else None


def single_file_kind(path: Path, *, has_settings: bool = False) -> ModelKind:
    """Says which family a single-file checkpoint belongs to, by the names of its text encoder's tensors.

    Args:
        path: a .safetensors file.
        has_settings: settings of its own come with it, not those of the family's base model.

    Raises:
        GuidanceError: not a readable .safetensors file, no text encoder in it, or marked as trained in another way.
    """
    if path.suffix.lower() != ".safetensors":
        raise GuidanceError(
            f"{path} is not a .safetensors file; nothing else is loaded, because the other formats can run code. Look "
            "for a .safetensors version of the same model."
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = tuple(file.keys())
    except (SafetensorError, OSError) as error:
        raise GuidanceError(f"{path} cannot be read as safetensors ({error}); download it again.") from error
    _refuse_marked(path, names, has_settings)
    prefixes: dict[ModelKind, str] = {
        "sdxl": "conditioner.embedders.1.",
        "sd2": "cond_stage_model.model.",
        "sd1": "cond_stage_model.transformer.",
    }
    for kind, prefix in prefixes.items():
        if any(name.startswith(prefix) for name in names):
            return kind
    raise GuidanceError(
        f"{path} holds no text encoder of Stable Diffusion 1, 2 or XL; give a full checkpoint (not a LoRA or a lone "
        "UNet), or a folder in the diffusers format."
    )


def _refuse_marked(path: Path, names: tuple[str, ...], has_settings: bool) -> None:
    """Files that say by a tensor of their own that they are not trained as their family is.

    The names are those by which Playground 2.5, CosXL and v-prediction fine-tunes of SDXL mark their files.
    """
    edm = [name for name in names if name.startswith(("edm_mean", "edm_std", "edm_vpred"))]
    if edm:
        raise GuidanceError(
            f"{path} is marked {edm[0]!r}: its noise is given by sigmas (EDM), which pgc cannot use. Choose another "
            "model."
        )
    v_marks = sorted({"v_pred", "ztsnr"} & set(names))
    if v_marks and not has_settings:
        raise GuidanceError(
            f"{path} is marked {v_marks[0]!r}: it predicts v, but a single file is read with the settings of its base "
            "model, which predicts epsilon. Give the model's folder in the diffusers format."
        )


def read_json(path: Path) -> dict[str, object]:
    """Reads the settings of a model's part. Raises GuidanceError where they are missing or no JSON."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise GuidanceError(f"{path} is missing or unreadable; expected a model in the diffusers format.") from error


def problem_of(folder: Path, parts: ModelParts) -> str | None:
    """Says what keeps a folder from being loaded, as a sentence; None if nothing does."""
    for name in parts.weights:
        if not (folder / name / "config.json").is_file():
            return f"{folder / name / 'config.json'} is missing."
        try:
            weights_variant(folder / name, half=False)
        except GuidanceError as error:
            return str(error)
    for name in parts.settings:
        if not any((folder / name).glob("*.json")):
            return f"{folder / name} is missing or empty."
    return None


def _cached(source: str, cache_dir: Path | None) -> Path | None:
    """The newest snapshot on this machine, complete or not."""
    try:
        return Path(snapshot_download(source, cache_dir=cache_dir, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None
