# SPDX-License-Identifier: Apache-2.0
"""What a job may say and this version cannot do: said by the gate, before a worker sees it."""

from __future__ import annotations

from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import LIT_MAPS, TextureJobSpec

__all__ = ["check_supported"]


def check_supported(spec: TextureJobSpec) -> None:
    """Raises ProtocolError where a job asks for what the protocol has room for, but this version cannot do yet."""
    if spec.unwraps or spec.reshapes:
        # Nothing more is looked at than the specification itself checks.
        return
    lit = not LIT_MAPS.isdisjoint(spec.maps)
    if lit and spec.lighting.kind == "unlit":
        raise invalid(
            "lighting.kind", "Only light shows roughness, metallic and normal; leave 'unlit' or these maps out."
        )
    if not lit and spec.lighting.kind == "environments":
        raise invalid(
            "lighting.kind", "Base color alone is shown without light; leave it out, or ask for roughness too."
        )
    if spec.guidance.revision is not None:
        raise invalid("guidance.revision", "This server has one revision of each model; leave the revision out.")
    if spec.lock_mask and not spec.initial_texture:
        raise invalid("lock_mask", "A lock mask keeps texels of the initial texture; send that too.")
    if (spec.guidance.model == "oracle") != bool(spec.guidance.oracle_texture):
        raise invalid(
            "guidance.oracle_texture", "The oracle needs the texture that it is to know; no other prior does."
        )
