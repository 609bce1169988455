# SPDX-License-Identifier: Apache-2.0
"""What a file of weights is, by the names and shapes in its header: nothing of it is loaded.

So a file that is none, or is for another model, is refused before anything else begins. Only safetensors are opened:
the other formats are Python pickles, which run code as they load.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from pgc.errors import GuidanceError
from pgc.guidance.sources import WHOLE_FOLDER, problem_of, read_json

__all__ = [
    "LoraNetwork",
    "TensorFile",
    "default_token",
    "embedding_widths",
    "ip_adapter_encoder",
    "ip_adapter_file",
    "ip_adapter_width",
    "lora_network",
    "lora_width",
    "read_header",
    "read_tensor_file",
    "sha256_of",
]

LoraNetwork = Literal["unet", "transformer", "text"]
"""What a LoRA changes: the UNet of Stable Diffusion and SDXL, a flow model's transformer, or text encoders alone."""

_OTHER_KINDS: Mapping[str, str] = {
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "oft_": "an OFT",
    "glora_": "a GLoRA",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoRA with a middle matrix",
    "lora_controlnet": "a Control LoRA",
}
"""What is not B·A, by what stands in the names of its tensors."""
_DOWN = re.compile(r"lora_down|lora_A|lora\.down|lora_linear_layer\.down")
_UNET = re.compile(r"(down|up|input|output)_blocks|mid(dle)?_block|lora_unet_(conv_|time_emb)")
_TEXT = re.compile(r"(lora_te\d?_|text_encoder)")
_MOST_VECTORS = 75
"""Of a learnt word: a text has 77 tokens, of which two are its begin and its end."""
_CROSS_ATTENTION = re.compile(r"attn2[._](processor[._])?to_k")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """The header of a file of weights."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]


def read_header(path: Path, what: str, option: str) -> TensorFile:
    """Reads names and shapes.

    Args:
        path: the file.
        what: what it is to be, such as "LoRA".
        option: where the person named it.

    Raises:
        GuidanceError: there is none, it is a pickle, or damaged.
    """
    if path.is_dir():
        raise GuidanceError(f"{option} is {path}, a folder; name the {what}'s .safetensors file in it.")
    if path.suffix.lower() != ".safetensors":
        raise GuidanceError(
            f"{option} is {path}, which is not a .safetensors file; nothing else is loaded, because the other formats "
            f"can run code. Look for a .safetensors version of the {what}."
        )
    if not path.is_file():
        raise GuidanceError(f"{option} is {path}, but there is no such file; check the path.")
    return read_tensor_file(path)


def read_tensor_file(path: Path) -> TensorFile:
    """Reads names and shapes of a file, whatever it is called. Raises GuidanceError where it is no safetensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = tuple(file.keys())
            return TensorFile(path=path, shapes={name: tuple(file.get_slice(name).get_shape()) for name in names})
    except (SafetensorError, OSError) as error:
        raise GuidanceError(f"{path} cannot be read as safetensors ({error}); download it again.") from error


def sha256_of(path: Path) -> str:
    """Hashes a file. Raises GuidanceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GuidanceError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


def lora_network(file: TensorFile) -> LoraNetwork:
    """Says what a LoRA changes. Raises GuidanceError where the file is none, or of a kind that cannot be merged."""
    for mark, kind in _OTHER_KINDS.items():
        # At the begin of a word: a tensor may well be called soft_mask.
        begin = re.compile(rf"(^|[._]){re.escape(mark)}")
        if any(begin.search(name) for name in file.shapes):
            raise GuidanceError(
                f"{file.path} is {kind}; expected a plain LoRA, whose layers are B·A in kohya's or diffusers' names."
            )
    if not any(_DOWN.search(name) for name in file.shapes):
        example = next(iter(file.shapes), "nothing")
        raise GuidanceError(
            f"{file.path} holds no LoRA (it holds {example}); expected a LoRA in kohya's or diffusers' names. A whole "
            "model goes to --guidance, a learnt word to --embedding, an IP-Adapter to --ip-adapter."
        )
    if any(_UNET.search(name) for name in file.shapes):
        return "unet"
    return "text" if all(_TEXT.match(name) for name in file.shapes) else "transformer"


def lora_width(file: TensorFile) -> int | None:
    """Returns how wide the text is that a LoRA's cross-attention reads; None where it does not change that."""
    for name, shape in file.shapes.items():
        if _CROSS_ATTENTION.search(name) and _DOWN.search(name):
            return shape[1]
    return None


def embedding_widths(file: TensorFile) -> tuple[int, ...]:
    """Returns how wide a learnt word is for each text encoder: one, or SDXL's two.

    Raises:
        GuidanceError: the file holds something else, or more vectors than a prompt has room for.
    """
    names = set(file.shapes)
    wanted = ("clip_l", "clip_g") if names == {"clip_l", "clip_g"} else tuple(names) if len(names) == 1 else ()
    shapes = [file.shapes[name] for name in wanted]
    if not shapes or any(len(shape) not in (1, 2) or shape[0] < 1 for shape in shapes):
        raise GuidanceError(
            f"{file.path} holds no learnt word (it has {len(names)} tensors); expected one tensor, a vector a row, or "
            "clip_l and clip_g for SDXL. A LoRA goes to --lora."
        )
    if len({shape[0] if len(shape) == 2 else 1 for shape in shapes}) > 1:
        raise GuidanceError(
            f"{file.path} has {shapes[0][0]} vectors for one text encoder and {shapes[1][0]} for the other; expected "
            "as many for both."
        )
    if len(shapes[0]) == 2 and shapes[0][0] > _MOST_VECTORS:
        raise GuidanceError(
            f"{file.path} has {shapes[0][0]} vectors for its word; expected {_MOST_VECTORS} at most, as many as "
            "a prompt has room for."
        )
    return tuple(shape[-1] for shape in shapes)


def default_token(path: Path, names: Sequence[str]) -> str:
    """Returns the word that a file has for itself: its tensor's name in diffusers' format, else the file's own."""
    generic = len(names) != 1 or names[0] in ("emb_params", "string_to_param", "*")
    return path.stem if generic else names[0]


def ip_adapter_file(source: Path) -> Path:
    """Returns the weights of an IP-Adapter: the file, or the only one of a folder. Raises GuidanceError for several."""
    if not source.is_dir():
        return source
    files = sorted(source.glob("*.safetensors"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files)
        raise GuidanceError(
            f"--ip-adapter is {source}, which holds {len(files)} .safetensors files"
            + (f" ({names}); name one of them." if files else "; name the file with the weights.")
        )
    return files[0]


def ip_adapter_width(file: TensorFile) -> int:
    """Returns how wide the text is that the IP-Adapter's model reads.

    Raises:
        GuidanceError: it is none, or one of a face, whose picture another network must see.
    """
    width = file.shapes.get("ip_adapter.1.to_k_ip.weight")
    if width is None:
        raise GuidanceError(
            f"{file.path} holds no IP-Adapter; expected tensors image_proj.… and ip_adapter.…, such as "
            "h94/IP-Adapter's ip-adapter_sd15.safetensors."
        )
    if _picture_width(file) is None:
        raise GuidanceError(
            f"{file.path} is an IP-Adapter for faces; expected one for whole pictures, such as ip-adapter_sd15 or "
            "ip-adapter-plus_sd15."
        )
    return width[1]


def ip_adapter_encoder(file: TensorFile) -> Path:
    """Returns the folder of the encoder that an IP-Adapter was trained with: where it is published, or beside the file.

    Raises:
        GuidanceError: there is none, or one of another width.
    """
    parent, found = file.path.parent, list[str]()
    is_plus = "image_proj.latents" in file.shapes
    for folder in (parent / "image_encoder", parent.parent / "image_encoder", parent.parent / "models/image_encoder"):
        if problem_of(folder, WHOLE_FOLDER) is not None:
            continue
        config = read_json(folder / "config.json")
        width = config.get("hidden_size" if is_plus else "projection_dim")
        if width == _picture_width(file):
            return folder
        found.append(f"{folder} gives {width} numbers")
    reason = "; ".join(found) or "there is none with safetensors"
    raise GuidanceError(
        f"{file.path} needs the picture encoder that it was trained with, one of {_picture_width(file)} numbers, in a "
        f"folder image_encoder beside it, but {reason}. It is published with the IP-Adapter."
    )


def _picture_width(file: TensorFile) -> int | None:
    plain, plus = file.shapes.get("image_proj.proj.weight"), file.shapes.get("image_proj.proj_in.weight")
    if plain is not None:
        return plain[1]
    return plus[1] if plus is not None and "image_proj.latents" in file.shapes else None
