# SPDX-License-Identifier: Apache-2.0
"""What a person may choose of what the model is shown: a part of the table in `pgc.runs.settings.choices`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgc.runs.settings.masks import MaskChoices
from pgc.runs.settings.offers import METHOD, OFFER, Offer, ReferenceName, read_controls, read_reference_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgc.guidance.control_specs import ControlKind

__all__ = ["ConditionChoices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChoices(MaskChoices):
    """What the model sees besides the prompt; None leaves it to the preset."""

    depth: bool | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="Whether the model is shown the mesh's depth.", kind=bool, panel=METHOD, flag="--depth/--no-depth"
            )
        },
    )
    depth_scale: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(help="How much the depth counts, 0 to 2.", kind=float, panel=METHOD, least=0.0, most=2.0)
        },
    )
    controls: tuple[str, ...] | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="All that the model is shown, with commas between: KIND=SCALE of depth, normal, edges, tile, "
                "shuffle, light, depth-official; @START-END behind it: only in that share of the run (@t: of noise).",
                kind=str,
                panel=METHOD,
                read=read_controls,
                flag="--control",
            )
        },
    )
    """Each as `pgc.guidance.control_specs` spells it."""
    control_models: Mapping[ControlKind, str] | None = None
    """Hub id or folder of the ControlNet of a kind, where it is not the published one."""
    loras: Mapping[str, float] | None = None
    """LoRA files and their scales, in the order of merging."""
    embeddings: Mapping[str, str] | None = None
    """Files of textual inversion, and the word that stands for each in a prompt; an empty one: the file's own."""
    ip_adapter: str | None = None
    """The weights that let the model look at the reference: a file, or a folder with one."""
    reference_by: ReferenceName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="What --reference does: palette (its colors pull at the render's; the default), ip-adapter (the "
                "model looks at it; needs --ip-adapter), or view (the front is to look so: a picture framed "
                "as the first of preview.png).",
                kind=str,
                panel=METHOD,
                read=read_reference_by,
            )
        },
    )
    reference_scale: float | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="How much --reference counts, 0 to 2; default 0.5.",
                kind=float,
                panel=METHOD,
                least=0.0,
                most=2.0,
            )
        },
    )
