# SPDX-License-Identifier: Apache-2.0
"""From files that a person names (LoRA, learnt words, an IP-Adapter) to the prior that has them.

Only headers are read, and the files are hashed: whatever cannot work is refused before a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.diffusion.added.headers import (
    TensorFile,
    default_token,
    embedding_widths,
    ip_adapter_encoder,
    ip_adapter_file,
    ip_adapter_width,
    lora_network,
    lora_width,
    read_header,
    read_tensor_file,
    sha256_of,
)
from pgc.guidance.diffusion.added.specs import ADAPTER_SCALE, AddedFiles, EmbeddingSpec, IpAdapterSpec, LoraSpec
from pgc.guidance.diffusion.flow.specs import FlowSpec
from pgc.guidance.sources import locate, model_parts, read_json
from pgc.guidance.specs import (
    FluxSpec,
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
)
from pgc.optimization.config import Prompt
from pgc.runs.settings.choices import RunChoices

__all__ = ["AddableSpec", "check_added", "with_added", "with_embeddings", "with_ip_adapter", "with_loras"]

AddableSpec = StableDiffusionSpec | SDXLSpec | SD3Spec | FluxSpec | ZImageSpec
"""Priors that files can be added to."""

_BASES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL"}
"""By the numbers that stand for a token of the prompt."""
_WIDTHS = {"sd1": (768,), "sd2": (1024,)}
_WIDTHS_XL = (768, 1280)
"""Of the text encoders' words."""
_TOKEN = re.compile(r"[^\s,;:=]{1,64}")


def with_added(prior: GuidanceSpec, choices: RunChoices) -> GuidanceSpec:
    """Returns the prior with the files that were named.

    Raises:
        PgcError: the prior cannot serve them, or a file is missing, of another format or for another model.
    """
    by_adapter = choices.reference_by == "ip-adapter" or choices.ip_adapter is not None
    asked = {"--lora": choices.loras, "--embedding": choices.embeddings, "--ip-adapter": by_adapter}
    given = [option for option, value in asked.items() if value]
    if not given:
        return prior
    if isinstance(prior, PocketSpec | OracleSpec):
        what = "the built-in model" if isinstance(prior, PocketSpec) else "the oracle"
        raise ConfigError(
            f"{' and '.join(given)} cannot be served by {what}; name a model of Stable Diffusion or SDXL with "
            "--guidance, or leave it away."
        )
    if isinstance(prior, FlowSpec):
        if given != ["--lora"]:
            raise ConfigError(
                f"{' and '.join(given)}: {prior.source} is a flow model, which takes LoRA files alone; leave the "
                "others away."
            )
        return replace(prior, added=AddedFiles(loras=_loras(choices.loras or {}, prior, None)))
    widths = _model_widths(prior)
    return replace(
        prior,
        added=AddedFiles(
            loras=_loras(choices.loras or {}, prior, widths),
            embeddings=_embeddings(choices.embeddings or {}, prior, widths),
            ip_adapter=_ip_adapter(choices, prior, widths) if by_adapter else None,
        ),
    )


def with_loras(prior: GuidanceSpec, files: Mapping[Path, float]) -> AddableSpec:
    """Returns the prior with LoRA files of known places and any names, each with its scale.

    Raises:
        PgcError: the prior takes none, or a file is none or was made for another model.
    """
    if isinstance(prior, PocketSpec | OracleSpec):
        raise ConfigError("This model takes no LoRA; name a model of Stable Diffusion, SDXL or a flow model.")
    widths = None if isinstance(prior, FlowSpec) else _model_widths(prior)
    loras = tuple(_lora(read_tensor_file(path), scale, prior, widths) for path, scale in files.items())
    return replace(prior, added=replace(prior.added, loras=loras))


def with_embeddings(prior: GuidanceSpec, files: Mapping[Path, str]) -> AddableSpec:
    """Returns the prior with files of learnt words, of known places and any names, each with the word that it teaches.

    Raises:
        PgcError: the prior takes none, or a file is none or was made for another model.
    """
    known = _reader(prior, "learnt words")
    widths = _model_widths(known)
    headers = [(read_tensor_file(path), word) for path, word in files.items()]
    return replace(known, added=replace(known.added, embeddings=_words(headers, known, widths)))


def with_ip_adapter(prior: GuidanceSpec, path: Path, scale: float) -> AddableSpec:
    """Returns the prior with the IP-Adapter of a file, or of the only one in a folder.

    Raises:
        PgcError: the prior takes none, or the file is none or was made for another model.
    """
    known = _reader(prior, "an IP-Adapter")
    header = read_tensor_file(ip_adapter_file(path))
    return replace(known, added=replace(known.added, ip_adapter=_adapter(header, scale, known, _model_widths(known))))


def _reader(prior: GuidanceSpec, what: str) -> StableDiffusionSpec | SDXLSpec:
    if isinstance(prior, StableDiffusionSpec | SDXLSpec):
        return prior
    raise ConfigError(f"This model takes no {what.removeprefix('an ')}; name a model of Stable Diffusion or SDXL.")


def check_added(prior: GuidanceSpec, prompt: Prompt, reference: Path | None) -> None:
    """Says what of a prior's files a run would have no use for.

    Args:
        prior: with its files.
        prompt: of the run, those of single views and the negative one among them.
        reference: the picture, where there is one.

    Raises:
        ConfigError: a learnt word stands in no prompt, or an IP-Adapter has no picture.
    """
    if isinstance(prior, PocketSpec | OracleSpec):
        return
    texts = (prompt.text, prompt.negative, *prompt.per_view.values())
    for embedding in prior.added.embeddings:
        if not any(embedding.stands_in(text) for text in texts):
            raise ConfigError(
                f"No prompt has the word {embedding.token!r} of {embedding.path}; put it into --prompt or --negative, "
                "or leave the file away."
            )
    if prior.added.ip_adapter is not None and reference is None:
        raise ConfigError("The IP-Adapter shows a picture of yours; give one with --reference IMAGE.")


def _model_widths(prior: StableDiffusionSpec | SDXLSpec) -> tuple[int, tuple[int, ...]] | None:
    """How wide a token of the prompt is for the UNet, and a word for each text encoder; None: the model is not here."""
    xl = isinstance(prior, SDXLSpec)
    if Path(prior.source).is_file():
        words = _WIDTHS_XL if isinstance(prior, SDXLSpec) else _WIDTHS[prior.family]
        return sum(words), words
    try:
        folder = locate(prior.source, model_parts(xl=xl))
        encoders = ("text_encoder", "text_encoder_2")[: 2 if xl else 1]
        unet = read_json(folder / "unet" / "config.json").get("cross_attention_dim")
        words = tuple(read_json(folder / name / "config.json").get("hidden_size") for name in encoders)
    except GuidanceError:
        # What is missing of a model is said where it is looked for, with what fetches it.
        return None
    numbers = tuple(word for word in words if isinstance(word, int))
    return (unet, numbers) if isinstance(unet, int) and len(numbers) == len(words) else None


def _check_width(
    path: Path, what: str, found: int | None, prior: StableDiffusionSpec | SDXLSpec, wanted: int | None
) -> None:
    if found is None or wanted is None or found == wanted:
        return
    made_for, model = (f"{_BASES[width]} ({width})" if width in _BASES else str(width) for width in (found, wanted))
    raise ConfigError(
        f"{path} was made for another model: a token has {made_for} numbers there, and {model} in {prior.source}. "
        f"Give {what} for that one."
    )


def _loras(
    files: Mapping[str, float],
    prior: StableDiffusionSpec | SDXLSpec | FlowSpec,
    widths: tuple[int, tuple[int, ...]] | None,
) -> tuple[LoraSpec, ...]:
    headers = {name: read_header(Path(name), "LoRA", "--lora") for name in files}
    return tuple(_lora(headers[name], scale, prior, widths) for name, scale in files.items())


def _lora(
    header: TensorFile,
    scale: float,
    prior: StableDiffusionSpec | SDXLSpec | FlowSpec,
    widths: tuple[int, tuple[int, ...]] | None,
) -> LoraSpec:
    path, network = header.path, lora_network(header)
    expected = "transformer" if isinstance(prior, FlowSpec) else "unet"
    if network not in ("text", expected):
        made_for = "flow models" if network == "transformer" else "Stable Diffusion or SDXL"
        raise ConfigError(
            f"{path} was made for another model: it is a LoRA for {made_for}, and {prior.source} is none of them. "
            "Give one for the same base model."
        )
    if not isinstance(prior, FlowSpec):
        _check_width(path, "a LoRA", lora_width(header), prior, None if widths is None else widths[0])
    return LoraSpec(path=str(path), sha256=sha256_of(path), scale=scale)


def _embeddings(
    files: Mapping[str, str], prior: StableDiffusionSpec | SDXLSpec, widths: tuple[int, tuple[int, ...]] | None
) -> tuple[EmbeddingSpec, ...]:
    headers = [(read_header(Path(name), "learnt word", "--embedding"), word) for name, word in files.items()]
    return _words(headers, prior, widths)


def _words(
    headers: Sequence[tuple[TensorFile, str]],
    prior: StableDiffusionSpec | SDXLSpec,
    widths: tuple[int, tuple[int, ...]] | None,
) -> tuple[EmbeddingSpec, ...]:
    found: dict[str, EmbeddingSpec] = {}
    for header, word in headers:
        path, made = header.path, embedding_widths(header)
        wanted = made if widths is None else widths[1]
        if len(made) != len(wanted):
            raise ConfigError(
                f"{path} has a learnt word for {len(made)} text encoder{'s' * (len(made) > 1)}, and {prior.source} "
                f"reads with {len(wanted)}; give one for that model."
            )
        for one, other in zip(made, wanted, strict=True):
            _check_width(path, "a learnt word", one, prior, other)
        token = word or default_token(path, tuple(header.shapes))
        if not _TOKEN.fullmatch(token) or token.lower() in found:
            reason = "stands for another file already" if token.lower() in found else "cannot stand in a prompt"
            raise ConfigError(
                f"The word {token!r} of {path} {reason}; name one of up to 64 letters, without blanks, commas, colons "
                f"and =: --embedding {path}=WORD."
            )
        found[token.lower()] = EmbeddingSpec(path=str(path), sha256=sha256_of(path), token=token)
    return tuple(found.values())


def _ip_adapter(
    choices: RunChoices, prior: StableDiffusionSpec | SDXLSpec, widths: tuple[int, tuple[int, ...]] | None
) -> IpAdapterSpec:
    if choices.ip_adapter is None:
        raise ConfigError(
            "--reference-by is ip-adapter; give its weights with --ip-adapter FILE, such as h94/IP-Adapter's "
            "ip-adapter_sd15.safetensors with the folder image_encoder beside it."
        )
    if choices.reference_by in ("palette", "view"):
        raise ConfigError(
            f"--ip-adapter is given, but --reference-by is {choices.reference_by}; leave one of the two away."
        )
    header = read_header(ip_adapter_file(Path(choices.ip_adapter)), "IP-Adapter", "--ip-adapter")
    scale = ADAPTER_SCALE if choices.reference_scale is None else choices.reference_scale
    return _adapter(header, scale, prior, widths)


def _adapter(
    header: TensorFile,
    scale: float,
    prior: StableDiffusionSpec | SDXLSpec,
    widths: tuple[int, tuple[int, ...]] | None,
) -> IpAdapterSpec:
    path, width = header.path, ip_adapter_width(header)
    _check_width(path, "an IP-Adapter", width, prior, None if widths is None else widths[0])
    encoder = str(ip_adapter_encoder(header))
    return IpAdapterSpec(path=str(path), sha256=sha256_of(path), image_encoder=encoder, scale=scale)
