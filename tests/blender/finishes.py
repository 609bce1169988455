# SPDX-License-Identifier: Apache-2.0
"""The models of `pgc eval finishes`, rendered by Cycles under three lights, as one sheet.

    python -m tests.blender.finishes RESULTS OUT.webp     # RESULTS: the folder of parts that the evaluation names

A column for every model, in the order of the cases; the rows are the lights of the demo.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.blender.blender_process import BlenderProcess, find_blender, probe_script
from tests.blender.demo import LIMIT, environments

__all__ = ["main", "render_sheet"]

_SCRIPT = probe_script("probe_finishes.py")


def render_sheet(blender: BlenderProcess, models: Sequence[Path], size: int) -> Image.Image:
    """A column of pictures for every GLB, one a light.

    Raises:
        ProbeError: Blender failed.
    """
    with tempfile.TemporaryDirectory(prefix="pgc-finishes-") as name:
        work = Path(name)
        lights = []
        for environment in environments():
            lights.append(work / f"{environment.name}.npy")
            np.save(lights[-1], environment.radiance.numpy())
        pictures = [[work / f"{model}-{light}.png" for light in range(len(lights))] for model in range(len(models))]
        jobs = [
            {"glb": str(model.resolve()), "pictures": [str(file) for file in files]}
            for model, files in zip(models, pictures, strict=True)
        ]
        arguments = {"models": jobs, "lights": [str(file) for file in lights], "size": size}
        blender.call(_SCRIPT, "render_models", arguments, work=work, limit=LIMIT, own_process=True)
        sheet = Image.new("RGB", (size * len(models), size * len(lights)))
        for column, files in enumerate(pictures):
            for row, file in enumerate(files):
                with Image.open(file) as picture:
                    sheet.paste(picture.convert("RGB"), (column * size, row * size))
    return sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 where it went well, 1 without Blender or models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=220, help="side of a picture, pixels")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of cases; default: all")
    given = parser.parse_args(arguments)
    models = sorted(given.results.glob("*/textured.glb"))
    models = [model for model in models if given.only is None or int(model.parent.name) in given.only]
    blender = find_blender(os.environ)
    if blender is None or not models:
        sys.stderr.write("No Blender (BLENDER_BIN or PGC_BPY_PYTHON names one), or no */textured.glb in the folder.\n")
        return 1
    render_sheet(blender, models, given.size).save(given.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
