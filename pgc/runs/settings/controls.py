# SPDX-License-Identifier: Apache-2.0
"""From what a person chose to show of the mesh to the prior's ControlNets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pgc.errors import ConfigError
from pgc.guidance.control_specs import (
    KNOWN_CONTROLNETS,
    ControlFamily,
    ControlKind,
    ControlSpec,
    ControlWish,
    read_control,
)
from pgc.guidance.specs import FlowSpec, GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.settings.choices import RunChoices

__all__ = ["check_light", "check_shuffle", "with_controls"]


def check_shuffle(prior: GuidanceSpec, reference: Path | None) -> None:
    """Says before anything is loaded that the control shuffle shows a picture.

    Raises:
        ConfigError: it is asked for, and there is no reference.
    """
    controls = prior.controls if isinstance(prior, StableDiffusionSpec | SDXLSpec) else ()
    if reference is None and any(control.wish.kind == "shuffle" for control in controls):
        raise ConfigError("The control shuffle shows a picture of yours; give one with --reference IMAGE.")


def check_light(prior: GuidanceSpec, *, lit: bool) -> None:
    """Says before anything is loaded that the control light shows the light of lit pictures.

    Raises:
        ConfigError: it is asked for, and the pictures are not lit.
    """
    controls = prior.controls if isinstance(prior, StableDiffusionSpec | SDXLSpec) else ()
    if not lit and any(control.wish.kind == "light" for control in controls):
        raise ConfigError(
            "The control light shows the light of lit pictures, and this run's are not lit; ask for roughness, "
            "metallic or normal as well, or leave it out."
        )


def with_controls(prior: GuidanceSpec, choices: RunChoices) -> GuidanceSpec:
    """Returns the prior with the ControlNets that were chosen.

    `controls` names all of them; without it there is the depth, as strongly as `depth` and `depth_scale` say.

    Raises:
        ConfigError: the prior has no such control.
    """
    if choices.controls is None:
        return _with_depth(prior, choices)
    wishes = [read_control(text) for text in choices.controls]
    named: dict[ControlKind, ControlWish] = {wish.kind: wish for wish in wishes}
    if isinstance(prior, OracleSpec | FlowSpec):
        what = "the oracle looks at nothing" if isinstance(prior, OracleSpec) else "there are none for this flow model"
        raise ConfigError(f"Controls are given ({', '.join(named)}), but {what}; leave them away.")
    if isinstance(prior, PocketSpec):
        others = sorted(named.keys() - {"depth"})
        if others or choices.control_models:
            raise ConfigError(
                f"The built-in model is shown depth alone; leave {', '.join(others) or 'other ControlNets'} away, or "
                "take another model."
            )
        return _scaled(prior, named.get("depth"))
    return _listed(prior, named, dict(choices.control_models or {}))


def _with_depth(prior: GuidanceSpec, choices: RunChoices) -> GuidanceSpec:
    """Returns the prior with as much of the mesh's depth as was chosen; the oracle and flow models look at none."""
    scale = choices.depth_scale
    if isinstance(prior, OracleSpec | FlowSpec):
        if scale is not None:
            reason = (
                "the oracle looks at no depth"
                if isinstance(prior, OracleSpec)
                else "there is no depth ControlNet for this flow model"
            )
            raise ConfigError(f"depth_scale is {scale}, but {reason}; leave it away.")
        return prior
    if choices.depth is False:
        return _scaled(prior, None) if isinstance(prior, PocketSpec) else replace(prior, controlnet=None)
    if scale is not None and not isinstance(prior, PocketSpec) and prior.controlnet is None:
        raise ConfigError(f"depth_scale is {scale}, but the model has no depth ControlNet; leave it away.")
    scale = prior.run.control_scale if scale is None else scale
    return replace(prior, run=replace(prior.run, control_scale=scale))


def _scaled(prior: PocketSpec, depth: ControlWish | None) -> PocketSpec:
    if depth is None:
        return replace(prior, run=replace(prior.run, control_scale=0.0))
    return replace(prior, run=replace(prior.run, control_scale=depth.scale, control_window=depth.window))


def _listed(
    prior: StableDiffusionSpec | SDXLSpec, named: dict[ControlKind, ControlWish], models: dict[ControlKind, str]
) -> StableDiffusionSpec | SDXLSpec:
    unused = sorted(models.keys() - named.keys())
    if unused:
        raise ConfigError(f"A ControlNet is named for {', '.join(unused)}, which --control does not list; add it.")
    sources = {kind: _source(prior, kind, models) for kind in named}
    depth = named.pop("depth", None)
    controls = tuple(ControlSpec(wish=wish, source=sources[kind]) for kind, wish in named.items())
    if depth is None:
        return replace(prior, controlnet=None, controls=controls)
    run = replace(prior.run, control_scale=depth.scale, control_window=depth.window)
    return replace(prior, controlnet=sources["depth"], controls=controls, run=run)


def _source(prior: StableDiffusionSpec | SDXLSpec, kind: ControlKind, models: dict[ControlKind, str]) -> str:
    """Where the ControlNet is: as it was named, beside the model in its folder, or the published one."""
    if kind in models:
        return models[kind]
    if kind in ("depth", "depth-official") and prior.controlnet is not None:
        return prior.controlnet
    own = Path(prior.source) / f"controlnet_{kind}"
    if own.is_dir():
        return str(own)
    family: ControlFamily = "sdxl" if isinstance(prior, SDXLSpec) else prior.family
    if kind not in KNOWN_CONTROLNETS[family]:
        raise ConfigError(
            f"No ControlNet for {kind} is known for this model (there are {', '.join(KNOWN_CONTROLNETS[family])}); "
            f"name one with --control-model {kind}=HUB_ID_OR_FOLDER, or leave it away."
        )
    return KNOWN_CONTROLNETS[family][kind]
