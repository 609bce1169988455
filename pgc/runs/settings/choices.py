# SPDX-License-Identifier: Apache-2.0
"""What a person may choose of how a run goes: one table of names, ranges and help for command line, server and demo.

A new choice is a field here, and what it does stands in `pgc.runs.settings.presets.resolve`. With an `Offer` it is an
option of `pgc texture` too. Where the wire's `SettingsSpec` has a field of its name, it travels to a server under it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, MapName, read_maps
from pgc.runs.settings.conditions import ConditionChoices
from pgc.runs.settings.offers import (
    METHOD,
    OFFER,
    PAPER_NAMES,
    PRESETS,
    FieldName,
    Offer,
    PaperName,
    PresetName,
    read_clip_norm,
    read_encoder_gradient,
    read_field,
    read_loss,
    read_noise,
    read_preset,
    read_regulation,
    read_rig,
    read_timesteps,
    read_weighting,
)

if TYPE_CHECKING:
    from pgc.cameras.named import RigName
    from pgc.distillation.build import DistillationName
    from pgc.distillation.noise.sources import NoiseName
    from pgc.distillation.timestep import TimestepName
    from pgc.distillation.weighting import WeightingName
    from pgc.gradient_regulation.base import PixelNorm
    from pgc.gradient_regulation.build import RegulationName
    from pgc.optimization.config import EncoderGradientName
    from pgc.runs.settings.lit import EnvironmentName

__all__ = ["PRESETS", "Offer", "PresetName", "RunChoices", "choices_offered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChoices(ConditionChoices):
    """What a person chose; None leaves a value to the preset of the prior.

    Raises:
        ConfigError: a number is outside its range, or two choices contradict each other.
    """

    preset: PresetName | PaperName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="draft, standard (the default) or fine; or a published run, which also names its model: "
                f"{', '.join(PAPER_NAMES)}. Other options win over it.",
                kind=str,
                read=read_preset,
            )
        },
    )
    steps: int | None = field(
        default=None, metadata={OFFER: Offer(help="Steps of the optimisation.", kind=int, least=1)}
    )
    views: int | None = field(default=None, metadata={OFFER: Offer(help="Views a step.", kind=int, least=1)})
    resolution: int | None = field(
        default=None, metadata={OFFER: Offer(help="Side of a view, pixels.", kind=int, least=1)}
    )
    texture_size: int | None = field(
        default=None, metadata={OFFER: Offer(help="Side of the texture, texels: a power of two.", kind=int)}
    )
    seed: int | None = field(
        default=None, metadata={OFFER: Offer(help="Another seed gives another texture.", kind=int, least=0)}
    )
    strength: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="With --init-texture: how much of it may change, 0.01 (hardly anything) to 1 (the default): "
                "it scales the most noise, and the steps unless --steps says how many.",
                kind=float,
                panel="Start from a texture",
                least=0.01,
                most=1.0,
            )
        },
    )
    warm_start: bool | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Pictures from all round, sampled together, before the first step: far fewer steps serve then. "
                "A run begins so by itself, not with the oracle, unless a loss, noise or timesteps are chosen or "
                "--strength is below 1.",
                kind=bool,
                flag="--warm-start/--no-warm-start",
            )
        },
    )
    explain_light: bool | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="With lit maps and a model that is not told the light: find the light of the picture that it "
                "wants, and learn under that. Less light is baked in; a step takes half as long again. Off by itself.",
                kind=bool,
                flag="--explain-light/--no-explain-light",
            )
        },
    )
    maps: tuple[MapName, ...] | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help=f"Maps to make, with commas between: base_color (the default), {', '.join(MAP_NAMES[1:])}.",
                kind=str,
                read=read_maps,
            )
        },
    )
    """As they were named; a run adds what these rest on."""
    separate_slots: bool | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Material slots are different materials: nothing is blended across their borders.",
                kind=bool,
                panel="Mesh",
                flag="--separate-slots",
            )
        },
    )

    distillation: DistillationName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Loss: sds, csd, ssd, hifa (of the built-in model), bgt, ism, sdi, vsd, rfds (of flow models).",
                kind=str,
                panel=METHOD,
                read=read_loss,
                flag="--loss",
            )
        },
    )
    guidance_scale: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(help="How far the prompt pulls, as diffusers counts it.", kind=float, panel=METHOD, least=0.0)
        },
    )
    guidance_rescale: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="0 to 1: draws the spread of a strongly guided prediction back.",
                kind=float,
                panel=METHOD,
                least=0.0,
                most=1.0,
            )
        },
    )
    timesteps: TimestepName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Noise over the run: uniform, linear, square_root, dreamtime; default: the model's own.",
                kind=str,
                panel=METHOD,
                read=read_timesteps,
            )
        },
    )
    noise: NoiseName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="What is added to a view: independent (drawn anew), or surface (it stays on the mesh).",
                kind=str,
                panel=METHOD,
                read=read_noise,
            )
        },
    )
    weighting: WeightingName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="How much an amount of noise counts: sigma_squared, constant, sqrt_alpha_sigma_squared, "
                "inverse_sigma_squared, noise_to_signal.",
                kind=str,
                panel=METHOD,
                read=read_weighting,
            )
        },
    )
    latent_weight: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="hifa: weight of the gradient that goes through the encoder, beside that of the picture.",
                kind=float,
                panel=METHOD,
                least=0.0,
            )
        },
    )
    encoder_gradient: EncoderGradientName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="How the gradient comes through the encoder: exact (its graph), or linear (a fitted map: cheap, "
                "smooth, without patterns).",
                kind=str,
                panel=METHOD,
                read=read_encoder_gradient,
            )
        },
    )
    regulation: RegulationName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="What bounds each pixel's gradient: pgc (the default), pgc-v, pngd, adaptive, global, sigmoid, "
                "soft, none.",
                kind=str,
                panel=METHOD,
                read=read_regulation,
            )
        },
    )
    clip_threshold: float | None = field(
        default=None,
        metadata={OFFER: Offer(help="Longest gradient of a pixel.", kind=float, panel=METHOD, flag="--clip")},
    )
    clip_norm: PixelNorm | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="l2 (the paper) or linf (the official code).", kind=str, panel=METHOD, read=read_clip_norm
            )
        },
    )
    clip_quantile: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="adaptive: share of the pixels that are left alone.", kind=float, panel=METHOD, least=0.0, most=1.0
            )
        },
    )
    texture_field: FieldName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="What is optimised: texels (the default), or hashgrid, the paper's hash grid and network.",
                kind=str,
                panel=METHOD,
                read=read_field,
                flag="--field",
            )
        },
    )
    rig: RigName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Views: sphere (from everywhere, the default), paper (its belt), stages (the belt, lenses getting "
                "longer), close-ups (from everywhere, some at a part).",
                kind=str,
                panel=METHOD,
                read=read_rig,
            )
        },
    )
    rotate_light: bool | None = None
    exposure: float | None = None
    """Most stops by which the light varies."""
    environments: tuple[EnvironmentName, ...] | None = None
    """Those of a lit run, and no others beside them."""

    def __post_init__(self) -> None:
        for name, offer in choices_offered().items():
            value = getattr(self, name)
            if value is None:
                continue
            if offer.least is not None and not value >= offer.least:
                raise ConfigError(f"{name} is {value}; it must be {offer.least:g} or more.")
            if offer.most is not None and not value <= offer.most:
                raise ConfigError(f"{name} is {value}; it must be {offer.most:g} or less.")
        if self.controls is not None and (self.depth is False or self.depth_scale is not None):
            raise ConfigError("controls are given and depth too; say all in controls: depth=0.8,normal=0.3.")
        if self.depth is False and self.depth_scale is not None:
            raise ConfigError(f"depth_scale is {self.depth_scale}, but depth is left out; give one of the two.")


def choices_offered() -> dict[str, Offer]:
    """Returns the choices that the command line offers, by name, in their order."""
    return {item.name: item.metadata[OFFER] for item in fields(RunChoices) if OFFER in item.metadata}
