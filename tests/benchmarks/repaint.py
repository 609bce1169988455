# SPDX-License-Identifier: Apache-2.0
"""What a mask keeps, over awkward meshes: bytes that differ where it keeps (none may), and its border's seam ratio.

    python -m tests.benchmarks.repaint --out out/repaint.json [--quick] [--meshes FOLDER] [--steps 2]

Eight shapes that a seed draws, each in seven awkward forms; or the files of a folder, whatever they are. All maps are
made with the built-in model in a few steps, from the maps of a drawn material, inside begun anew, with a soft edge; the
maps are encoded as files are and decoded again. Borders are measured where the new texture is another drawn material,
whole, since a few steps paint little: without a soft edge (hard) and with it (soft), each finished as a run is.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pgc.errors import PgcError
from pgc.evaluation.cache import environment, write_json
from pgc.evaluation.measures.mask_borders import BorderJumps, border_ratios
from pgc.evaluation.meshes import judge_meshes
from pgc.guidance.base import Guidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.images.maps import encode_maps
from pgc.mesh import Mesh, PreparedMesh, load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.pocket.data.finishes import draw_pattern, material_points
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures, bake_maps, with_kept_occlusion
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve
from pgc.texture.field import BakedTexture, from_uint8_values
from pgc.texture.texel_config import TexelLayout
from pgc.texture.texel_pyramid import TexelPyramid
from pgc.texture.texel_surface import texel_surface

FORMS = ("as it is", "two slots", "folded", "two tiles", "repeating", "degenerate", "open")
EVERY = ("base_color", "roughness", "metallic", "normal", "occlusion")
SIDE, EDGE = 128, 10
_MEASURED = 200
"""Border places from which on a ratio is one."""


def main() -> None:
    """Runs each mesh, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="two shapes")
    parser.add_argument("--meshes", type=Path, help="a folder of files in place of the shapes")
    parser.add_argument("--steps", type=int, default=2)
    given = parser.parse_args()
    meshes = _files(given.meshes) if given.meshes is not None else _shapes(2 if given.quick else 8)
    chosen = RunChoices(
        maps=EVERY, steps=given.steps, views=1, resolution=64, texture_size=SIDE, mask_start="anew", soft_edge=EDGE
    )
    settings = resolve(chosen, PocketSpec())[1]
    guidance = load_guidance(PocketSpec(), torch.device("cpu"))
    rows: list[dict[str, Any]] = []
    for number, (name, form, mesh) in enumerate(meshes):
        row: dict[str, Any] = {"mesh": name, "form": form}
        try:
            row |= repainted(prepare_mesh(mesh, uvs="keep"), settings, guidance, number)
        except PgcError as error:
            row["refused"] = str(error)
        rows.append(row)
        write_json(given.out, summary(rows, given.steps))


def _shapes(count: int) -> Iterator[tuple[str, str, Mesh]]:
    for mesh in judge_meshes(count, seed=21):
        for form in FORMS:
            yield mesh.name, form, awkward(mesh, form)


def _files(folder: Path) -> Iterator[tuple[str, str, Mesh]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".obj", ".glb", ".gltf", ".ply", ".stl"):
            try:
                yield path.name, "a file", load_mesh(path)
            except PgcError:
                continue


def awkward(mesh: Mesh, form: str) -> Mesh:
    """Returns the mesh in one of `FORMS`."""
    assert mesh.uvs is not None
    assert mesh.corner_uvs is not None
    uvs, starts = mesh.uvs, np.cumsum(mesh.polygon_sizes) - mesh.polygon_sizes
    match form:
        case "two slots":
            second = mesh.positions[mesh.corner_positions[starts], 0] > mesh.positions[:, 0].mean()
            return replace(mesh, material_index=second.astype(np.int32), material_names=("left", "right"))
        case "folded":
            # What lies in the right half of the texture lies mirrored on the left one.
            return replace(mesh, uvs=np.stack([np.minimum(uvs[:, 0], 1.0 - uvs[:, 0]), uvs[:, 1]], axis=1))
        case "two tiles":
            own = uvs[mesh.corner_uvs].copy()
            right = np.minimum.reduceat(own[:, 0], starts) > 0.5
            own[np.repeat(right, mesh.polygon_sizes), 0] += 0.5
            return replace(mesh, uvs=own, corner_uvs=np.arange(len(own), dtype=np.int32))
        case "repeating":
            return replace(mesh, uvs=uvs * np.float32(2.5))
        case "degenerate":
            corners, places = mesh.corner_positions.copy(), mesh.corner_uvs.copy()
            for start in starts[::7]:
                corners[start + 1], places[start + 1] = corners[start], places[start]
            return replace(mesh, corner_positions=corners, corner_uvs=places)
        case "open":
            stays = np.random.default_rng(0).random(len(starts)) > 0.3
            corner = np.repeat(stays, mesh.polygon_sizes)
            return replace(
                mesh,
                polygon_sizes=mesh.polygon_sizes[stays],
                corner_positions=mesh.corner_positions[corner],
                corner_uvs=mesh.corner_uvs[corner],
                corner_normals=None if mesh.corner_normals is None else mesh.corner_normals[corner],
                material_index=mesh.material_index[stays],
            )
        case _:
            return mesh


def repainted(mesh: PreparedMesh, settings: RunSettings, guidance: Guidance, seed: int) -> dict[str, Any]:
    """Runs a mesh with a mask: what differs where it keeps, what changed elsewhere, and the border's ratios."""
    tiles = mesh.report.tiles
    start, masks = _start(mesh, seed)
    sources = SourceTextures(initial=start, lock_mask=[torch.from_numpy(mask) for mask in masks])
    run = start_optimization(mesh, Prompt(text="blue checker"), settings, guidance, sources=sources)
    for _ in run.steps():
        pass
    done = with_kept_occlusion(bake_maps(run.scene, mesh, settings), sources)
    before, after = _files_of(start), _files_of(done)
    kept = np.stack(masks)
    differ = {name: int((after[name] != before[name])[kept].sum()) for name in EVERY}
    under = np.stack([texel_surface(mesh.triangles, SIDE, tile).inside for tile in tiles])
    free = ~kept & under
    changed = {name: float((after[name] != before[name]).any(axis=-1)[free].mean()) if free.any() else None
               for name in EVERY}  # fmt: skip
    ratios = [_borders(mesh, settings, sources, seed, width) for width in (0, EDGE)]
    return {
        "triangles": len(mesh.triangles.faces),
        "tiles": len(tiles),
        "kept_texels": int(kept.sum()),
        "bytes_that_differ": differ,
        "changed_share": changed,
        "border_places": ratios[0][0].border_places,
        "hard": [round(jumps.ratio, 3) for jumps in ratios[0]],
        "soft": [round(jumps.ratio, 3) for jumps in ratios[1]],
    }


def _borders(
    mesh: PreparedMesh, settings: RunSettings, sources: SourceTextures, seed: int, width: int
) -> list[BorderJumps]:
    """Jumps at the mask's border where another drawn material is the new texture."""
    tiles, new = mesh.report.tiles, torch.stack(_material(mesh, 2 * seed + 1)["base_color"])
    layout = TexelLayout(tiles=tiles, repeat=mesh.report.needs_repeat)
    config = replace(settings.texture, soft_edge=width)
    field = TexelPyramid(mesh.triangles, config, sources.initial, sources.lock_mask, layout=layout)
    field.paint("base_color", new, torch.ones(len(tiles), SIDE, SIDE, dtype=torch.bool))
    kept = torch.stack(sources.lock_mask or []).numpy()
    return border_ratios(mesh.triangles, field.bake(), kept, mips=2)


def _material(mesh: PreparedMesh, seed: int) -> dict[str, list[torch.Tensor]]:
    """What a drawn material has at each texel, in bytes over 255."""
    drawn = draw_pattern(np.random.default_rng([22, seed]))
    found: dict[str, list[torch.Tensor]] = {"base_color": [], "roughness": [], "metallic": []}
    for tile in mesh.report.tiles:
        surface = texel_surface(mesh.triangles, SIDE, tile, reach=1.0)
        on = surface.face_index >= 0
        points = material_points(drawn, surface.position[on].astype(float), surface.normal[on].astype(float))
        for name, images in found.items():
            values = np.asarray(getattr(points, name), np.float32).reshape(int(on.sum()), -1)
            image = np.full((SIDE, SIDE, values.shape[1]), 128, np.uint8)
            image[on] = np.round(values.clip(0.0, 1.0) * 255)
            images.append(from_uint8_values(torch.from_numpy(image.transpose(2, 0, 1).copy())))
    return found


def _start(mesh: PreparedMesh, seed: int) -> tuple[BakedTexture, list[np.ndarray]]:
    """The maps of a drawn material with normals and occlusion of noise, and masks whose ragged halves keep."""
    random, tiles = np.random.default_rng([21, seed]), mesh.report.tiles
    masks = []
    for _ in tiles:
        rough = Image.fromarray(random.integers(0, 256, (6, 6), dtype=np.uint8)).resize((SIDE, SIDE))
        masks.append(np.asarray(rough) > 127)
    start = _material(mesh, 2 * seed)
    for name, channels in (("normal", 3), ("occlusion", 1)):
        noise = random.integers(0, 256, (len(tiles), channels, SIDE, SIDE), dtype=np.uint8)
        start[name] = [from_uint8_values(torch.from_numpy(image)) for image in noise]
    return BakedTexture(maps=start, tiles=tiles), masks


def _files_of(texture: BakedTexture) -> dict[str, np.ndarray]:
    """Maps as their files hold them, [tiles, S, S, c]."""
    decoded: dict[str, np.ndarray] = {}
    for name, files in encode_maps(texture).items():
        images = [np.asarray(Image.open(io.BytesIO(data))) for data in files.values()]
        decoded[name] = np.stack([image.reshape(SIDE, SIDE, -1) for image in images])
    return decoded


def summary(rows: list[dict[str, Any]], steps: int) -> dict[str, Any]:
    """What all meshes say together, then each."""
    done = [row for row in rows if "refused" not in row]
    measured = [row for row in done if row["border_places"] >= _MEASURED]
    median = {kind: [float(np.median([row[kind][mip] for row in measured])) for mip in (0, 1)] if measured else None
              for kind in ("hard", "soft")}  # fmt: skip
    return {
        "environment": environment(),
        "steps": steps,
        "soft_edge": EDGE,
        "meshes": len(done),
        "refused": len(rows) - len(done),
        "bytes_that_differ": sum(sum(row["bytes_that_differ"].values()) for row in done),
        "kept_bytes": sum(9 * row["kept_texels"] for row in done),
        "borders": {
            "measured": len(measured),
            "median": median,
            "soft_at_most_1.1": [sum(row["soft"][mip] <= 1.1 for row in measured) for mip in (0, 1)],
        },
        "rows": rows,
    }


if __name__ == "__main__":
    main()
