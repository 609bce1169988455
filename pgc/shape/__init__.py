# SPDX-License-Identifier: Apache-2.0
"""Optimisation of a mesh's shape: a new mesh from an artist's blockout and a prompt.

rendering/   pictures with gradients to the vertices
"""
