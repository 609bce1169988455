# SPDX-License-Identifier: Apache-2.0
"""What a person may choose of a run that repaints what a mask leaves free."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgc.runs.settings.offers import OFFER, MaskStartName, Offer, read_mask_start

__all__ = ["MaskChoices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskChoices:
    """What a person chose of a mask; None is the default."""

    mask_start: MaskStartName | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="With a mask: what changes begins as it is (present, the default), or from nothing (anew).",
                kind=str,
                panel="Start from a texture",
                read=read_mask_start,
            )
        },
    )
    soft_edge: int | None = field(
        default=None,
        metadata={
            OFFER: Offer(
                help="With a mask: width in texels of the band inside what changes in which new texels come to meet "
                "the kept ones; 0 (the default) to 256.",
                kind=int,
                panel="Start from a texture",
                least=0,
                most=256,
            )
        },
    )
