# SPDX-License-Identifier: Apache-2.0
"""Small surfaces with UV layouts as people make them: (positions, faces, corner UVs, faces without UVs)."""

import numpy as np

_BOX = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (2, 3, 7, 6), (1, 2, 6, 5), (3, 0, 4, 7)]
_FULL = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float64)


class Surface:
    """Quads that gather."""

    def __init__(self):
        self.quads, self.uvs, self.without = [], [], []

    def quad(self, corners, uvs, without=False):
        self.quads.append(np.asarray(corners, dtype=np.float64))
        self.uvs.append(np.asarray(uvs, dtype=np.float64))
        self.without.append(without)
        return self

    def box(self, place=(0, 0, 0), size=(1, 1, 1), uv=None, bits=range(6)):
        """Six faces; `uv(number)` gives [4, 2]; by default each gets a sixth of the square."""
        x, y, z = size
        points = np.array([(0, 0, 0), (x, 0, 0), (x, y, 0), (0, y, 0), (0, 0, z), (x, 0, z), (x, y, z), (0, y, z)])
        for number in bits:
            corners = points[list(_BOX[number])] + np.asarray(place, dtype=np.float64)
            self.quad(corners, sixth(number) if uv is None else uv(number))
        return self

    def arrays(self):
        positions = np.concatenate(self.quads)
        first = 4 * np.arange(len(self.quads))[:, None]
        faces = np.stack([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])], axis=1).reshape(-1, 3)
        uvs = np.concatenate(self.uvs).astype(np.float32)
        return positions, faces, uvs[faces], np.repeat(self.without, 2)


def sixth(number):
    return _FULL * (0.3, 0.45) + (0.01 + number % 3 / 3, 0.01 + number // 3 / 2)


def full(_number=0):
    return _FULL


def strip(columns, width=1.0, uv=lambda column: _FULL):
    """Quads side by side along x."""
    surface = Surface()
    for column in range(columns):
        x = column * width
        surface.quad([(x, 0, 0), (x + width, 0, 0), (x + width, 1, 0), (x, 1, 0)], uv(column))
    return surface


def mirrored_bar():
    """Two halves beside each other, the right one with the left one's UVs."""
    surface = Surface()
    surface.quad([(0, 0, 0), (-2, 0, 0.5), (-2, 1, 0.5), (0, 1, 0)], _FULL * 0.9)
    surface.quad([(0, 0, 0), (0, 1, 0), (2, 1, 0.5), (2, 0, 0.5)], (_FULL * 0.9)[[0, 3, 2, 1]])
    return surface


def parked(offset=(1, 0), *, mirrored=True, extra=False):
    """Two halves that do not touch, of two charts each; the right one's lie in another square, on the same places.

    `extra`: one more chart there, which the first square does not have.
    """
    surface = Surface()
    shapes = [((-4, -2, -2, -4), (0, 0, 1, 1)), ((-4, -2, -2.5, -4), (2, 2, 3.5, 3))]
    for number, (xs, ys) in enumerate(shapes):
        uvs = np.stack([np.asarray(xs) + 4.2, np.asarray(ys)], axis=1) / 4 + (0.02, 0.02)
        left = np.stack([xs, ys, (0, 0.2, 0.4, 0)], axis=1)
        surface.quad(left, uvs)
        moved = uvs + np.asarray(offset)
        if mirrored:
            surface.quad((left * (-1, 1, 1))[::-1], moved[::-1])
        else:
            surface.quad(left + np.array((9, 0, 0)), moved)
        if extra and number:
            surface.quad(left + np.array((0, 9, 0)), _FULL * 0.2 + 0.75 + np.asarray(offset))
    return surface


def screws(count=5):
    """Equal boxes, each well unwrapped, all on the same texels."""
    surface = Surface()
    for number in range(count):
        surface.box((3.0 * number, number, 0), (1, 0.7, 0.4))
    return surface


def crossed():
    """Two plates of different shape whose UVs overlap."""
    surface = Surface()
    surface.quad([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], _FULL * 0.5)
    surface.quad([(5, 0, 0), (8, 0, 0), (8, 1, 0), (5, 1, 0)], _FULL * (0.75, 0.25) + (0.1, 0.1))
    return surface


def projected():
    """A box under a projection along z: top and bottom share texels, the sides have none."""
    surface = Surface().box()
    surface.uvs = [quad[:, :2] * 0.8 + 0.1 for quad in surface.quads]
    return surface


def cylinder(sides=12, turns=1.0):
    """A tube whose UVs go around once from -0.5 to 0.5 (times `turns`)."""
    surface = Surface()
    for side in range(sides):
        angles = np.array([side, side + 1]) * 2 * np.pi / sides
        (x0, x1), (y0, y1) = np.cos(angles), np.sin(angles)
        u0, u1 = turns * (side / sides - 0.5), turns * ((side + 1) / sides - 0.5)
        surface.quad([(x0, y0, 0), (x1, y1, 0), (x1, y1, 1), (x0, y0, 1)], [(u0, 0.1), (u1, 0.1), (u1, 0.9), (u0, 0.9)])
    return surface
