# SPDX-License-Identifier: Apache-2.0
"""An environment turned texel by texel: what the shading's rotation of light is compared with."""

import math

import torch

from pgc.rendering.latlong import Environment


def turned_environment(environment: Environment, angle: float) -> Environment:
    """The same light turned about +Z by `angle` radians (from +X towards +Y), by bilinear interpolation."""
    shift = angle / (2.0 * math.pi) * environment.radiance.shape[-1]
    whole = math.floor(shift)
    near, far = (torch.roll(environment.radiance, by, dims=-1) for by in (whole, whole + 1))
    return Environment(environment.name, near + (far - near) * (shift - whole))
