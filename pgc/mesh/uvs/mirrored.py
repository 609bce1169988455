# SPDX-License-Identifier: Apache-2.0
"""Charts that lie mirrored in a UV layout, and the layout with each the right way round."""

import numpy as np
from jaxtyping import Bool, Float64

from blender_addon.uv_measure.charts import connected
from pgc.mesh.uvs.flat_polygons import doubled_areas

__all__ = ["mirrored_triangles", "unmirrored"]


def mirrored_triangles(corners: Float64[np.ndarray, "F 3 2"]) -> Bool[np.ndarray, " F"]:
    """Says which triangles are of charts that turn clockwise, over their whole area, where the surface does not.

    Letters and grain are read backwards there, and what a tangent space calls left is right. A chart is what hangs
    together by equal points.
    """
    points, vertex = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    vertex = vertex.reshape(-1, 3).astype(np.int64)
    chart = connected(len(points), np.repeat(vertex[:, 0], 2), vertex[:, 1:].reshape(-1))[vertex[:, 0]]
    area = np.bincount(chart, weights=doubled_areas(corners))
    return area[chart] < 0.0


def unmirrored(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, "F 3 2"]:
    """Returns the layout in [0, 1]^2 with mirrored charts turned over, left of the others: they have to be packed.

    All turn over at u = 0, which is exact, so that what lay side by side still does.
    """
    result = corners.copy()
    result[mirrored_triangles(corners), :, 0] *= -1.0
    return result
