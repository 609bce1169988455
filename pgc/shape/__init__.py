# SPDX-License-Identifier: Apache-2.0
"""Optimisation of a mesh's shape: a new mesh from an artist's blockout and a prompt.

rendering/   pictures with gradients to the vertices
geometry/    shapes as parameters: moved vertices, and a signed distance on a grid
run/         what the loop of `pgc.optimization` looks at
"""
