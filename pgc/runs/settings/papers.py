# SPDX-License-Identifier: Apache-2.0
"""Settings of published runs by a name: the commands of the official code's README for a given mesh, and the paper's
own (Pan et al., ICLR 2024, §5.1).

What is different here is said at each. All of them: cameras are not mirrored, the background is a random colour instead
of one photograph, texels in the artist's UVs are optimised and no hash grid (`--field hashgrid` takes one), and depth
has the polarity that its ControlNet was trained with. The official code runs its README on two cards; a batch is that
of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.offers import PaperName

__all__ = ["PAPERS", "SDXL_STEPS", "Paper", "expanded_choices", "model_of"]

SDXL_STEPS = 2800
"""What the official author says that Stable Diffusion XL 1.0 needs (PGC-3D, issue 5), at its step size and a batch of
four. The 1,200 of paper and code were for the gated version 0.9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A published run.

    Attributes:
        title: what it is.
        guidance: the model, as it stands behind --guidance.
        choices: its settings.
    """

    title: str
    guidance: str
    choices: RunChoices


_SDS = RunChoices(
    distillation="sds",
    # The official scale of 100 adds to the prediction; as diffusers counts it is 101.
    guidance_scale=101.0,
    timesteps="uniform",
    weighting="sigma_squared",
    regulation="pgc",
    clip_threshold=0.1,
    clip_norm="linf",
    rig="paper",
    depth_scale=1.0,
    steps=SDXL_STEPS,
    views=4,
    resolution=1024,
    texture_size=2048,
)
_SD = replace(_SDS, rig="stages", steps=2000, views=8, resolution=512, texture_size=2048)

PAPERS: Mapping[PaperName, Paper] = {
    "pgc/paper": Paper(
        title="the paper's §5.1: SDS with PGC-N by the Euclidean norm, 1,200 steps",
        guidance="sdxl",
        choices=replace(_SDS, guidance_scale=100.0, clip_norm="l2", steps=1200),
    ),
    "pgc3d/sdxl-depth": Paper(title="README: -O0 -O2 -O4 --guidance controlnet", guidance="sdxl", choices=_SDS),
    "pgc3d/pbr": Paper(
        # Its metallic is pinned to 0, and its light is one sky that does not turn.
        title="README: the same with --pbr",
        guidance="sdxl",
        choices=replace(
            _SDS, maps=("base_color", "roughness", "normal"), environments=("sky",), rotate_light=False, exposure=0.0
        ),
    ),
    "pgc3d/vsd": Paper(
        # A batch of one on each card, twice as many steps; without ControlNet, with which it fails there.
        title="README: -O0 -O2 -O4 --vsd --guidance_scale 7.5",
        guidance="sdxl",
        choices=replace(
            _SDS, distillation="vsd", guidance_scale=7.5, steps=2 * SDXL_STEPS, views=2, depth=False, depth_scale=None
        ),
    ),
    "pgc3d/csd": Paper(
        title="README: as sdxl-depth, with --csd",
        guidance="sdxl",
        choices=replace(_SDS, distillation="csd", guidance_scale=1.0),
    ),
    "pgc3d/sd-depth": Paper(
        title="README: -O0 -O2 --control_type depth, Stable Diffusion 1.5", guidance="sd15", choices=_SD
    ),
    "pgc3d/sd-depth-shuffle": Paper(
        # Its reference also pulls at one front view there; here --reference takes the picture's colours all round.
        title="README: -O0 -O2 --control_type depth shuffle, with --reference",
        guidance="sd15",
        choices=replace(_SD, depth_scale=None, controls=("depth=0.7", "shuffle=0.3")),
    ),
}

_FOLLOWERS: Mapping[str, tuple[str, ...]] = {
    "distillation": ("guidance_scale", "timesteps", "weighting"),
    "regulation": ("clip_threshold", "clip_norm"),
    "maps": ("environments", "rotate_light", "exposure"),
    "depth": ("depth_scale", "controls"),
    "depth_scale": ("controls",),
    "controls": ("depth", "depth_scale"),
}
"""What goes with a choice: where a person takes another loss, the published one's scale is not for it."""

_Choices = TypeVar("_Choices", bound=RunChoices)


def model_of(choices: RunChoices) -> str | None:
    """Returns the model of the published run that --preset names; None where it names none."""
    name = choices.preset
    return None if name is None or name == "draft" or name == "standard" or name == "fine" else PAPERS[name].guidance


def expanded_choices(choices: _Choices) -> _Choices:
    """Returns the choices with a published run's settings for all that was not chosen; others as they are."""
    name = choices.preset
    if name is None or name == "draft" or name == "standard" or name == "fine":
        return choices
    given = {item.name: getattr(choices, item.name) for item in fields(RunChoices)}
    published = {item.name: getattr(PAPERS[name].choices, item.name) for item in fields(RunChoices)}
    for leader, followers in _FOLLOWERS.items():
        if given[leader] is not None and given[leader] != published[leader]:
            published |= dict.fromkeys(followers)
    filled: dict[str, Any] = {key: value for key, value in published.items() if given[key] is None}
    return replace(choices, **{**filled, "preset": None})
