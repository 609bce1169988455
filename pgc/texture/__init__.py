# SPDX-License-Identifier: Apache-2.0
"""Textures as parameters: texel pyramids in the caller's own UVs, and everything that makes them whole.

field.py           the interface of every texture field, and the baked result
texel_pyramid.py   the default field: a pyramid of texels, coarse to fine
composition.py     how the levels of a pyramid add up to a texture and its mips
mip_fetch.py       footprint-correct trilinear fetch, with its slow reference
texel_surface.py   UV-space rasterisation: which surface point lies under which texel
coverage.py        which texels any camera saw
finishing/         seams, gutters and what no camera saw, at the end of a run:
  gutter.py        texels outside the charts: continuation across chart edges, then pull-push
  edge_frames.py   the same surface point in the UVs of both faces beside an edge
  seams.py         the constraint across chart edges, at every mip
  quadratic.py     its solver
  fill.py          texels that no camera saw, from their neighbours on the surface
  order.py         the order of all this
locks.py           texels that must come back bit-identical
"""
