# SPDX-License-Identifier: Apache-2.0
"""``python -m pgc.pocket.autoencoder train|measure``: train a candidate; say what one is worth."""

import argparse
import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgc.pocket.autoencoder.losses import LossConfig
from pgc.pocket.autoencoder.measure import cost_of, measured
from pgc.pocket.autoencoder.network import DEEP, SHALLOW, AutoencoderShape
from pgc.pocket.autoencoder.train import CHECKPOINT, AutoencoderConfig, load_trained, train_autoencoder
from pgc.pocket.scenes.shards import load_scenes
from pgc.pocket.training.train_vae import to_input

_PLAIN = LossConfig(noisy=0.0, moved=0.0, tail=0.0, mean_square=0.0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pgc.pocket.autoencoder", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a candidate (goes on where it stopped)")
    train.add_argument("--data", type=Path, required=True, help="folder of `python -m pgc.pocket.scenes data`")
    train.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    train.add_argument("--steps", type=int, default=AutoencoderConfig().steps, help="in all (default %(default)s)")
    train.add_argument("--stop-at", type=int, help="stop here, with the learning rate of the whole schedule")
    train.add_argument("--plain", action="store_true", help="without noise, moves and bounds on the gradient")
    train.add_argument("--threads", type=int, default=1)
    measure = commands.add_parser("measure", help="reconstruction, robustness, the encoder's gradient, cost")
    measure.add_argument("--data", type=Path, required=True, help="pictures of the tuning set")
    measure.add_argument("--count", type=int, default=24)
    measure.add_argument("--size", type=int, default=256, help="pictures are made smaller to this")
    source = measure.add_mutually_exclusive_group(required=True)
    source.add_argument("--out", type=Path, help="folder of a checkpoint")
    source.add_argument("--weights", type=Path, help="folder of a whole prior, such as the package's own")
    for command in (train, measure):
        command.add_argument("--shallow", action="store_true", help="8 times smaller instead of 16 times")
    return parser


def _shape(arguments: argparse.Namespace) -> AutoencoderShape:
    return SHALLOW if arguments.shallow else DEEP


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    data = load_scenes(arguments.data)
    step = max(1, data.count // arguments.count)
    places = [data.place(index) for index in range(0, data.count, step)][: arguments.count]
    images = torch.cat([to_input(np.array(data.images[shard][row])[None]) for shard, row in places])
    if arguments.size != images.shape[-1]:
        images = torch.nn.functional.interpolate(images, size=(arguments.size,) * 2, mode="area")
    if arguments.weights:
        vae = AutoencoderKL.from_pretrained(arguments.weights, subfolder="vae", torch_dtype=torch.float32).eval()
    else:
        vae = load_trained(arguments.out / CHECKPOINT, _shape(arguments))
    return {"pictures": len(images), **asdict(cost_of(vae, arguments.size)), **measured(vae, images)}


def main() -> None:
    """Runs one command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments = _parser().parse_args()
    if arguments.command == "measure":
        sys.stdout.write(json.dumps(_measure(arguments), indent=1) + "\n")
        return
    torch.set_num_threads(arguments.threads)
    config = AutoencoderConfig(shape=_shape(arguments), steps=arguments.steps)
    if arguments.plain:
        config = replace(config, losses=_PLAIN)
    train_autoencoder(arguments.data, arguments.out, config, arguments.stop_at)


if __name__ == "__main__":
    main()
