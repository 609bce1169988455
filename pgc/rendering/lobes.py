# SPDX-License-Identifier: Apache-2.0
"""Where the light of a GGX layer comes from: its lobe as a few symmetric lobes in the plane of view and normal.

The plain split sum puts one symmetric lobe around the mirrored view, as if every surface were seen from straight
above. Seen aslant, the true lobe is longer than wide, leans away from the mirrored direction, and ends at the horizon;
that alone is an error of up to a tenth of full scale in a picture. `lobes.json` holds three lobes for every view and
roughness, fitted to the true one by `tests/benchmarks/fit_lobes.py`; `tests/benchmarks/split_sum.py` says what is left.
"""

import functools
import json
from dataclasses import dataclass
from importlib.resources import files

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["Lobe", "lobe_table", "lobes_at"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lobe:
    """One symmetric lobe at each of P points; all tensors are [P, 1].

    Attributes:
        share_a, share_b: its part of the layer's albedos A and B (see `pgc.rendering.brdf.brdf_table`); those of all
            lobes add up to 1.
        lean: angle from the mirrored view towards the horizon, radians; negative towards the normal.
        roughness: how wide it is, in [0, `pgc.rendering.prefilter.WIDEST`].
    """

    share_a: Float[Tensor, "P 1"]
    share_b: Float[Tensor, "P 1"]
    lean: Float[Tensor, "P 1"]
    roughness: Float[Tensor, "P 1"]


@functools.cache
def lobe_table() -> Float[Tensor, "C R N"]:
    """Reads the fit over roughness (rows) and the root of n·v (columns), both in [0, 1]; four channels a lobe, as
    `Lobe`."""
    data = json.loads((files("pgc.rendering") / "lobes.json").read_text(encoding="utf-8"))
    return torch.tensor(data["values"]).view(4 * data["lobes"], data["rows"], data["columns"])


def lobes_at(table: Float[Tensor, "C R N"], coordinates: Float[Tensor, "P 2"]) -> list[Lobe]:
    """Returns the lobes at `pgc.rendering.brdf.table_coordinates`; differentiable by them."""
    values = F.grid_sample(table[None], coordinates[None, None], align_corners=True, padding_mode="border")
    columns = values[0, :, 0].T.split(1, dim=-1)
    return [
        Lobe(share_a=columns[at], share_b=columns[at + 1], lean=columns[at + 2], roughness=columns[at + 3])
        for at in range(0, len(columns), 4)
    ]
