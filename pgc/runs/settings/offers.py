# SPDX-License-Identifier: Apache-2.0
"""How the command line offers a choice: its help, its heading, and from a person's words to the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, MapName

if TYPE_CHECKING:
    from pgc.cameras.named import RigName
    from pgc.distillation.build import DistillationName
    from pgc.distillation.noise.sources import NoiseName
    from pgc.distillation.timestep import TimestepName
    from pgc.distillation.weighting import WeightingName
    from pgc.gradient_regulation.base import PixelNorm
    from pgc.gradient_regulation.build import RegulationName
    from pgc.guidance.control_specs import ControlKind
    from pgc.optimization.config import EncoderGradientName

__all__ = [
    "METHOD",
    "OFFER",
    "PAPER_NAMES",
    "PRESETS",
    "FieldName",
    "MaskStartName",
    "Offer",
    "PaperName",
    "PresetName",
    "ReferenceName",
    "read_clip_norm",
    "read_control_models",
    "read_controls",
    "read_embeddings",
    "read_encoder_gradient",
    "read_field",
    "read_loras",
    "read_loss",
    "read_map_files",
    "read_mask_start",
    "read_noise",
    "read_preset",
    "read_reference_by",
    "read_regulation",
    "read_rig",
    "read_timesteps",
    "read_weighting",
]

PresetName = Literal["draft", "standard", "fine"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)
PaperName = Literal[
    "pgc/paper", "pgc3d/sdxl-depth", "pgc3d/pbr", "pgc3d/vsd", "pgc3d/csd", "pgc3d/sd-depth", "pgc3d/sd-depth-shuffle"
]
"""Published runs; `pgc.runs.settings.papers` says what they are."""
PAPER_NAMES: tuple[PaperName, ...] = get_args(PaperName)
OFFER = "offer"
"""Under which a field of the table keeps how it is offered."""
FieldName = Literal["texels", "hashgrid"]
MaskStartName = Literal["present", "anew"]
ReferenceName = Literal["palette", "ip-adapter", "view"]
METHOD = "Method"
"""Heading of the options for the loss and what regulates its gradient."""
_BESIDE: tuple[MapName, ...] = MAP_NAMES[1:]
"""Maps that an option of their own names; base colour is what --init-texture names."""
_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How the command line offers a choice.

    Attributes:
        help: what the option does.
        kind: type of what stands behind the option.
        panel: heading in the help under which the option stands.
        least: smallest number that is allowed.
        most: largest number that is allowed.
        read: from what stands behind the option to the choice's value; None takes it as it is.
        flag: the option's spelling, where it is not that of the choice's name.
    """

    help: str
    kind: type[str] | type[int] | type[float] | type[bool]
    panel: str = "Quality and time"
    least: int | float | None = None
    most: int | float | None = None
    read: Callable[[str], Any] | None = None
    flag: str | None = None


def _one_of(option: str, text: str, names: Sequence[_Name]) -> _Name:
    for name in names:
        if name == text:
            return name
    raise ConfigError(f"{option} is {text!r}; expected one of {', '.join(names)}.")


def read_preset(text: str) -> PresetName | PaperName:
    """Returns the preset or published run of this name. Raises ConfigError where there is none."""
    return _one_of("--preset", text, (*PRESETS, *PAPER_NAMES))


def read_mask_start(text: str) -> MaskStartName:
    """Returns how what a mask leaves free begins. Raises ConfigError for another name."""
    return _one_of("--mask-start", text, get_args(MaskStartName))


# torch is imported where one of these is given, and not before: `pgc --help` is to be quick.


def read_loss(text: str) -> DistillationName:
    """Returns the loss of this name. Raises ConfigError where there is none."""
    from pgc.distillation.build import DistillationName

    return _one_of("--loss", text, get_args(DistillationName))


def read_timesteps(text: str) -> TimestepName:
    """Returns the schedule of this name. Raises ConfigError where there is none."""
    from pgc.distillation.timestep import TimestepName

    return _one_of("--timesteps", text, get_args(TimestepName))


def read_encoder_gradient(text: str) -> EncoderGradientName:
    """Returns the way through the encoder of this name. Raises ConfigError where there is none."""
    from pgc.optimization.config import EncoderGradientName

    return _one_of("--encoder-gradient", text, get_args(EncoderGradientName))


def read_noise(text: str) -> NoiseName:
    """Returns the source of noise of this name. Raises ConfigError where there is none."""
    from pgc.distillation.noise.sources import NoiseName

    return _one_of("--noise", text, get_args(NoiseName))


def read_weighting(text: str) -> WeightingName:
    """Returns the weighting of this name. Raises ConfigError where there is none."""
    from pgc.distillation.weighting import WeightingName

    return _one_of("--weighting", text, get_args(WeightingName))


def read_regulation(text: str) -> RegulationName:
    """Returns the regulation of this name. Raises ConfigError where there is none."""
    from pgc.gradient_regulation.build import REGULATIONS

    if text in ("latent", "latent-texture"):
        raise ConfigError(
            f"--regulation {text}: a texture of latents is in pgc playground alone, since a decoder reads pictures and "
            "no UV layout, and views that are decoded one by one disagree; take pgc, or --encoder-gradient linear."
        )
    return _one_of("--regulation", text, REGULATIONS)


def read_field(text: str) -> FieldName:
    """Returns the field of this name. Raises ConfigError where there is none."""
    return _one_of("--field", text, get_args(FieldName))


def read_rig(text: str) -> RigName:
    """Returns the cameras of this name. Raises ConfigError where there are none."""
    from pgc.cameras.named import RigName

    return _one_of("--rig", text, get_args(RigName))


def read_reference_by(text: str) -> ReferenceName:
    """Returns what a reference does. Raises ConfigError where there is no such way."""
    return _one_of("--reference-by", text, get_args(ReferenceName))


def read_clip_norm(text: str) -> PixelNorm:
    """Returns the norm of this name. Raises ConfigError where there is none."""
    from pgc.gradient_regulation.base import PixelNorm

    return _one_of("--clip-norm", text, get_args(PixelNorm))


def read_controls(text: str) -> tuple[str, ...]:
    """Returns the controls of a list with commas, each as it is spelled in full.

    Raises:
        ConfigError: one is none, or stands there twice, or depth is drawn in two ways.
    """
    from pgc.guidance.control_specs import read_control

    wishes = [read_control(part) for part in text.split(",") if part.strip()]
    kinds = [wish.kind.removesuffix("-official") for wish in wishes]
    if not wishes or len(set(kinds)) != len(kinds):
        raise ConfigError(f"--control is {text!r}; expected each kind once, and one at least. Use --no-depth for none.")
    return tuple(str(wish) for wish in wishes)


def read_control_models(given: Sequence[str]) -> dict[ControlKind, str] | None:
    """Reads KIND=SOURCE pairs, with paths that hold in any folder; None where there are none.

    Raises:
        ConfigError: one is no such pair, or a kind stands there twice.
    """
    from pgc.guidance.control_specs import CONTROL_KINDS

    found: dict[ControlKind, str] = {}
    for text in given:
        name, _, source = text.partition("=")
        kind: ControlKind | None = next((kind for kind in CONTROL_KINDS if kind == name.strip()), None)
        if kind is None or not source.strip() or kind in found:
            raise ConfigError(
                f"--control-model is {text!r}; expected KIND=HUB_ID_OR_FOLDER, each of {', '.join(CONTROL_KINDS)} once."
            )
        path = Path(source.strip())
        found[kind] = str(path.absolute()) if path.is_dir() else source.strip()
    return found or None


def read_map_files(given: Sequence[str]) -> dict[MapName, str] | None:
    """Reads MAP=FILE pairs; None where there are none.

    Raises:
        ConfigError: one is no such pair, or a map stands there twice.
    """
    found: dict[MapName, str] = {}
    for text in given:
        name, _, file = text.partition("=")
        known: MapName | None = next((known for known in _BESIDE if known == name.strip()), None)
        if known is None or not file.strip() or known in found:
            raise ConfigError(f"--init-map is {text!r}; expected MAP=FILE, each of {', '.join(_BESIDE)} once.")
        found[known] = file.strip()
    return found or None


def read_loras(given: Sequence[str]) -> dict[str, float] | None:
    """Reads FILE or FILE=SCALE, with paths that hold in any folder; None where there are none.

    Raises:
        ConfigError: a scale is no number, or a file stands there twice.
    """
    found: dict[str, float] = {}
    for text in given:
        path, scale = _file_and_more(text)
        try:
            number = 1.0 if scale is None else float(scale)
        except ValueError as error:
            raise ConfigError(
                f"--lora is {text!r}; expected FILE or FILE=SCALE, such as rust.safetensors=0.8."
            ) from error
        if path in found:
            raise ConfigError(f"--lora names {path} twice; give it once, with the sum of both scales.")
        found[path] = number
    return found or None


def read_embeddings(given: Sequence[str]) -> dict[str, str] | None:
    """Reads FILE or FILE=WORD, with paths that hold in any folder; None where there are none.

    Raises:
        ConfigError: a file stands there twice.
    """
    found: dict[str, str] = {}
    for text in given:
        path, word = _file_and_more(text)
        if path in found:
            raise ConfigError(f"--embedding names {path} twice; give it once.")
        found[path] = word or ""
    return found or None


def _file_and_more(text: str) -> tuple[str, str | None]:
    """What stands before the last "=" and behind it; a file's own name may have one."""
    file, equals, more = text.rpartition("=")
    if not equals or Path(text).exists():
        return str(Path(text).absolute()), None
    return str(Path(file).absolute()), more.strip()
