# SPDX-License-Identifier: Apache-2.0
"""``python -m pgc.pocket data|train|extend|export|sample``: make the data, train the prior, look at it."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from pgc.pocket import weights_folder
from pgc.whole_files import write_picture


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pgc.pocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="render the training set (goes on where it stopped)")
    data.add_argument("--out", type=Path, required=True, help="folder for the shards")
    data.add_argument("--count", type=int, default=18216, help="number of images (default %(default)s)")
    data.add_argument("--seed", type=int, default=7)
    train = commands.add_parser("train", help="data, autoencoder, diffusion, export (goes on where it stopped)")
    train.add_argument("--out", type=Path, required=True, help="folder for everything; the model is OUT/weights")
    train.add_argument("--threads", type=int, default=1, help="threads for training (default %(default)s)")
    train.add_argument(
        "--steps", type=int, help="diffusion steps in all; more than were done before trains the model further"
    )
    extend = commands.add_parser(
        "extend", help="the second edition: lit data, more training, export (goes on where it stopped)"
    )
    extend.add_argument("--first", type=Path, required=True, help="training folder of the first edition")
    extend.add_argument("--out", type=Path, required=True, help="folder for everything; the model is OUT/weights")
    extend.add_argument("--threads", type=int, default=1, help="threads for training (default %(default)s)")
    extend.add_argument("--steps", type=int, help="steps in all (default: the recipe's)")
    extend.add_argument("--export-only", action="store_true", help="export the newest checkpoint, train no further")
    export = commands.add_parser("export", help="export the newest checkpoints of a training folder")
    export.add_argument("--out", type=Path, required=True, help="the training folder")
    export.add_argument("--to", type=Path, default=weights_folder(), help="default: the package's own weights")
    for command in (data, train):
        command.add_argument("--processes", type=int, default=1, help="rendering processes (default %(default)s)")
    sample = commands.add_parser("sample", help="draw pictures for a prompt, on unseen shapes")
    sample.add_argument("--prompt", required=True)
    sample.add_argument("--out", type=Path, default=Path("sample.png"))
    sample.add_argument("--weights", type=Path, default=weights_folder())
    sample.add_argument("--count", type=int, default=4)
    sample.add_argument("--seed", type=int, default=0)
    return parser


def _sample(arguments: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from pgc.pocket.data.captions import unknown_words, vocabulary
    from pgc.pocket.sample import load_pipeline, sample, unseen_depths

    if unknown := unknown_words(arguments.prompt, vocabulary()):
        logging.warning(
            "The pocket prior does not know: %s. See vocabulary.json for what it knows.", ", ".join(unknown)
        )
    depths = unseen_depths(arguments.count, arguments.seed)
    images = sample(load_pipeline(arguments.weights), [arguments.prompt] * arguments.count, depths, arguments.seed)
    write_picture(Path(arguments.out), Image.fromarray(np.concatenate(list(images), axis=1)))


def _extend(arguments: argparse.Namespace) -> None:
    from pgc.pocket.training.extend import ExtendConfig, export_second, extend

    config = ExtendConfig(threads=arguments.threads)
    if arguments.steps:
        config = replace(config, lit=replace(config.lit, steps=arguments.steps))
    if arguments.export_only:
        export_second(arguments.first, arguments.out, arguments.out / "weights", config)
    else:
        extend(arguments.first, arguments.out, config)


def main() -> None:
    """Runs one command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments = _parser().parse_args()
    match arguments.command:
        case "data":
            from pgc.pocket.data.dataset import DataConfig, generate

            generate(arguments.out, DataConfig(arguments.count, arguments.seed), arguments.processes)
        case "train":
            from pgc.pocket.training.train import TrainConfig, train

            config = TrainConfig(threads=arguments.threads, processes=arguments.processes)
            if arguments.steps:
                config = replace(config, diffusion=replace(config.diffusion, steps=arguments.steps))
            train(arguments.out, config)
        case "extend":
            _extend(arguments)
        case "export":
            from pgc.pocket.training.train import TrainConfig, export_from

            export_from(arguments.out, arguments.to, TrainConfig())
        case _:
            _sample(arguments)


if __name__ == "__main__":
    main()
