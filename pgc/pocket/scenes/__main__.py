# SPDX-License-Identifier: Apache-2.0
"""``python -m pgc.pocket.scenes data|sheet``: make the training pictures; look at the materials."""

import argparse
import logging
from pathlib import Path
from typing import get_args

from pgc.pocket.swatches.draw import Split


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pgc.pocket.scenes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="render a set of pictures (goes on where it stopped)")
    data.add_argument("--out", type=Path, required=True, help="folder for the shards")
    data.add_argument("--scenes", type=int, default=6000, help="scenes of three pictures (default %(default)s)")
    data.add_argument("--split", choices=get_args(Split), default="train")
    data.add_argument("--processes", type=int, default=1, help="rendering processes (default %(default)s)")
    sheet = commands.add_parser("sheet", help="draw all materials, three looks each, on balls and flat")
    sheet.add_argument("--out", type=Path, default=Path("materials.png"))
    sheet.add_argument("--only", default="", help="materials whose name has this in it")
    sheet.add_argument("--size", type=int, default=200, help="pixels a ball (default %(default)s)")
    sheet.add_argument("--seed", type=int, default=7)
    return parser


def _sheet(arguments: argparse.Namespace) -> None:
    import numpy as np

    from pgc.pocket.scenes.sheet import contact_sheet
    from pgc.pocket.swatches.catalog import RECIPES
    from pgc.pocket.swatches.draw import substance
    from pgc.rendering.environment import studio
    from pgc.rendering.light import Light
    from pgc.rendering.prefilter import prefilter
    from pgc.whole_files import write_picture

    chosen = [recipe for recipe in RECIPES if arguments.only in recipe.name]
    if not chosen:
        raise SystemExit(f"No material has {arguments.only!r} in its name; expected one of the catalog's.")
    rows = []
    for recipe in chosen:
        rng = np.random.default_rng([arguments.seed, 1])
        rows.append((recipe, [substance(rng, recipe, likely).look for likely in (0.0, 0.0, 1.0)]))
    light = Light(environment=prefilter(studio()), rotation=0.5, exposure=0.0)
    write_picture(arguments.out, contact_sheet(rows, light, arguments.size, columns=2))


def main() -> None:
    """Runs one command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments = _parser().parse_args()
    if arguments.command == "sheet":
        _sheet(arguments)
        return
    import torch

    from pgc.pocket.scenes.shards import SceneSetConfig, make_scenes

    torch.set_num_threads(1)
    make_scenes(arguments.out, SceneSetConfig(arguments.split, arguments.scenes), arguments.processes)


if __name__ == "__main__":
    main()
