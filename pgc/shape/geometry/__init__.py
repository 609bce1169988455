# SPDX-License-Identifier: Apache-2.0
"""Shapes as parameters that a run learns; each paper in one file.

    base             what every geometry does
    large_steps      vertices through a smoothing solve (Nicolet et al. 2021); uniform_adam: its optimiser
    vertex_offsets   the artist's own triangles, moved
    dmtet            a signed distance on a grid (Shen et al. 2021); tetrahedra: the grid and its surfaces;
                     signed_distance: where it begins
    regularizers     what is likely of a surface before anybody looks at it

Settings stand beside what they set.
"""
