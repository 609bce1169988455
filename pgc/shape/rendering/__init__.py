# SPDX-License-Identifier: Apache-2.0
"""Pictures of a mesh that moves, with gradients to its vertices.

    moving_mesh   vertices on a graph, faces, neighbours across edges
    projection    vertices to clip space; where in its triangle a pixel's centre lies, as a function of the vertices
    silhouettes   analytic antialiasing: the gradient of outlines
    renderer      what every renderer does, and ours; nvdiffrast_renderer: NVIDIA's, where the user has installed it
    choice        which one a run gets

The rasterisers of `pgc.rendering` say what is visible.
"""
