# SPDX-License-Identifier: Apache-2.0
"""Makes pgc/rendering/lobes.json: python -m tests.benchmarks.fit_lobes OUT.json [STEPS]

For every view and roughness of a grid, the GGX layer's lobe (Fresnel 1, and its part weighted by Schlick's term) is
approximated by three symmetric lobes in the plane of view and normal, of the family that environments are prefiltered
with. Start: the lobe's samples in three parts of equal weight along that plane, each part's mean direction and length
of mean. Then Adam on the squared difference over all directions, relative to the lobe's own square, plus the
squared difference of the mean directions, for what is smooth in the light.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pgc.rendering.brdf import (
    MIN_ALPHA,
    ggx_density,
    hammersley,
    sample_visible_normals,
    smith_height_correlated,
    smith_masking,
)
from pgc.rendering.prefilter import STEPS, WIDEST

LOBES = 3
ROWS, COLUMNS = STEPS + 1, 24
SAMPLES = 160
SMALLEST_ROUGHNESS, SMALLEST_COSINE = 0.08, 0.02
"""Below these, the fit of these: both limits have no shape to fit."""
MEAN_WEIGHT = 2.0

Cells = dict[str, Tensor]


def kernel(cosine: Tensor, roughness: Tensor) -> Tensor:
    """The prefilter's lobe by the cosine to its axis, normalised; above roughness 1 it opens to a hemisphere."""
    alpha = (roughness**2).clamp(max=0.998)
    low, high, slope = alpha**2, (1 + alpha**2) / 2, 1 - alpha**2
    total = (1 + 2 * alpha**2 / slope) * (1 / low - 1 / high) - (2 / slope) * torch.log(high / low)
    half_apart = (1 - cosine) / 2
    ggx = cosine.clamp_min(0) / (half_apart * slope + low) ** 2 / (4 * math.pi / slope * total)
    open_share = ((roughness - 1) * STEPS).clamp(0, 1)
    return (1 - open_share) * ggx + open_share * (cosine > 0) / (2 * math.pi)


def grid() -> tuple[Tensor, Tensor]:
    """Alpha and view cosine of every cell, roughness by roughness."""
    roughness = torch.linspace(0, 1, ROWS).clamp_min(SMALLEST_ROUGHNESS)
    cosine = (torch.linspace(0, 1, COLUMNS) ** 2).clamp_min(SMALLEST_COSINE)
    return (roughness**2).repeat_interleave(COLUMNS), cosine.repeat(ROWS)


def cells() -> Cells:
    """Directions of light for every cell, their density, and the two lobes there, each with an integral of 1."""
    alpha, cosine = grid()
    view = torch.stack([(1 - cosine**2).sqrt(), 0 * cosine, cosine], dim=-1)[:, None]
    numbers = hammersley(SAMPLES)[None].expand(len(alpha), -1, -1)
    wide = (1.5 * alpha + 0.02).clamp(max=1.0)

    def reflected(width: Tensor) -> Tensor:
        half = sample_visible_normals(view.expand(-1, SAMPLES, -1), width[:, None].expand(-1, SAMPLES), numbers)
        return 2 * (view * half).sum(-1, keepdim=True) * half - view

    z, turn = 1 - 2 * numbers[..., 0], 2 * math.pi * numbers[..., 1]
    ring = (1 - z * z).sqrt()
    even = torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=-1)
    light = torch.cat([reflected(wide), reflected(alpha), even], dim=1)
    half = F.normalize(view + light, dim=-1)
    up = half[..., 2].clamp_min(0)

    def density(width: Tensor) -> Tensor:
        return smith_masking(cosine[:, None], width[:, None]) * ggx_density(up, width[:, None]) / (4 * cosine[:, None])

    drawn = (density(wide) + density(alpha) + 1 / (4 * math.pi)) / 3
    visible = smith_height_correlated(cosine[:, None], light[..., 2].clamp_min(1e-7), alpha[:, None])
    whole = ggx_density(up, alpha[:, None]) * visible * light[..., 2].clamp_min(0)
    schlick = (1 - (view * half).sum(-1).clamp(0, 1)) ** 5
    a, b = whole * (1 - schlick), whole * schlick
    mass_a, mass_b = (a / drawn).mean(1), (b / drawn).mean(1)
    return {
        "light": light,
        "drawn": drawn,
        "a": a / mass_a[:, None],
        "b": b / mass_b[:, None].clamp_min(1e-9),
        "share_b": mass_b / (mass_a + mass_b),
    }


def start() -> tuple[Tensor, Tensor]:
    """Angle from the normal and roughness of every lobe of every cell, [LOBES, cells], by parts of equal weight."""
    alpha, cosine = grid()
    count = 1024
    view = torch.stack([(1 - cosine**2).sqrt(), 0 * cosine, cosine], dim=-1)[:, None].expand(-1, count, -1)
    width = alpha.clamp_min(MIN_ALPHA)[:, None].expand(-1, count)
    half = sample_visible_normals(view, width, hammersley(count)[None].expand(len(alpha), -1, -1))
    light = 2 * (view * half).sum(-1, keepdim=True) * half - view
    visible = smith_height_correlated(view[..., 2], light[..., 2].clamp_min(1e-7), width)
    weight = 4 * light[..., 2].clamp_min(0) * view[..., 2] * visible / smith_masking(view[..., 2], width)
    order = torch.atan2(-light[..., 0], light[..., 2]).argsort(-1)
    weight, light = weight.gather(1, order), light.gather(1, order[..., None].expand_as(light))
    share = weight.cumsum(-1) - weight / 2
    part = (LOBES * share / weight.sum(-1, keepdim=True)).floor()
    lengths = mean_lengths()
    angles, roughnesses = [], []
    for lobe in range(LOBES):
        inside = (weight * (part == lobe))[..., None]
        mean = (light * inside).sum(1) / inside.sum(1).clamp_min(1e-9)
        mean = mean * torch.tensor([1.0, 0.0, 1.0])
        angles.append(torch.atan2(-mean[:, 0], mean[:, 2]))
        length = mean.norm(dim=-1)
        roughnesses.append((lengths[None] - length[:, None]).abs().argmin(1) / (20.0 * STEPS))
    return torch.stack(angles), torch.stack(roughnesses).clamp(0.05, 1.0)


def mean_lengths() -> Tensor:
    """Length of the mean direction of `kernel` for roughness i / (20 STEPS)."""
    apart = torch.logspace(-7, 0, 4000, dtype=torch.float64)
    roughness = torch.arange(1, 20 * STEPS + 1, dtype=torch.float64)[:, None] / (20 * STEPS)
    weight = kernel(1 - apart, roughness.clamp_min(0.02)) * apart
    return torch.cat([torch.ones(1), (1 - (weight * apart).sum(1) / weight.sum(1)).float()])


def fit(steps: int) -> Tensor:
    """[LOBES, 4, ROWS, COLUMNS]: shares of A and B, lean from the mirrored view, roughness."""
    known, (alpha, cosine) = cells(), grid()
    first, roughness = start()
    unit = (2 * alpha).clamp(max=0.4)  # a narrow lobe's place is known finely, and is moved finely
    moved, log_roughness = torch.zeros_like(first), roughness.log()
    shares_a, shares_b = torch.zeros_like(first), torch.zeros_like(first)
    parameters = [moved, log_roughness, shares_a, shares_b]
    optimizer = torch.optim.Adam([item.requires_grad_() for item in parameters], lr=0.03, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = _loss(known, first + unit * moved, log_roughness.exp().clamp(max=WIDEST), (shares_a, shares_b))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            sys.stdout.write(f"{step}: {[round(row, 3) for row in loss.view(ROWS, COLUMNS).mean(1).tolist()]}\n")
            sys.stdout.flush()
    with torch.no_grad():
        lean = first + unit * moved - torch.acos(cosine)
        found = [shares_a.softmax(0), shares_b.softmax(0), lean, log_roughness.exp().clamp(max=WIDEST)]
        table = torch.stack(found, dim=1).view(LOBES, 4, ROWS, COLUMNS)
    table[:, 2:, 0] = 0.0  # a mirror
    return table


def _loss(known: Cells, angle: Tensor, roughness: Tensor, shares: tuple[Tensor, Tensor]) -> Tensor:
    axis = torch.stack([-angle.sin(), 0 * angle, angle.cos()], dim=-1)
    lobes = kernel((known["light"][None] * axis[:, :, None]).sum(-1), roughness[..., None])
    error = torch.zeros_like(angle[0])
    for name, share, weight in zip("ab", shares, (1 - known["share_b"], known["share_b"]), strict=True):
        found = (share.softmax(0)[..., None] * lobes).sum(0)
        square = (known[name] ** 2 / known["drawn"]).mean(1)
        error = error + weight * ((found - known[name]) ** 2 / known["drawn"]).mean(1) / square
        if name == "a":
            apart = ((found - known[name]) / known["drawn"])[..., None] * known["light"]
            error = error + MEAN_WEIGHT * (apart.mean(1) * torch.tensor([1.0, 0.0, 1.0])).square().sum(-1)
    return error


def main() -> None:
    """Fits and writes."""
    table = fit(int(sys.argv[2]) if len(sys.argv) > 2 else 300)
    planes = [[round(value, 4) for value in plane.flatten().tolist()] for plane in table.view(4 * LOBES, -1)]
    rows = ",\n".join(json.dumps(plane, separators=(",", ":")) for plane in planes)
    head = f'{{"lobes": {LOBES}, "rows": {ROWS}, "columns": {COLUMNS}, "values": [\n'
    Path(sys.argv[1]).write_text(head + rows + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
