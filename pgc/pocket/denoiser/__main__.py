# SPDX-License-Identifier: Apache-2.0
"""``python -m pgc.pocket.denoiser latents|train|export|cost``: the stages behind the autoencoder, a command each."""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch

from pgc.pocket.autoencoder.network import DEEP
from pgc.pocket.autoencoder.train import load_trained
from pgc.pocket.denoiser.config import DenoiserConfig, call_gflop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pgc.pocket.denoiser", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    latents = commands.add_parser("latents", help="encode the pictures (goes on where it stopped)")
    train = commands.add_parser("train", help="train the networks (goes on where it stopped)")
    export = commands.add_parser("export", help="write the prior's folder from the newest checkpoints")
    commands.add_parser("cost", help="count a call")
    for command in (latents, train):
        command.add_argument("--data", type=Path, required=True, help="folder of `python -m pgc.pocket.scenes data`")
        command.add_argument("--threads", type=int, default=1)
    for command in (latents, export):
        command.add_argument("--autoencoder", type=Path, required=True, help="checkpoint of the autoencoder")
    for command in (latents, train, export):
        command.add_argument("--latents", type=Path, required=True, help="folder of the latents")
    for command in (train, export):
        command.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    train.add_argument("--steps", type=int, default=DenoiserConfig().steps, help="in all (default %(default)s)")
    train.add_argument("--stop-at", type=int, help="stop here, with the learning rate of the whole schedule")
    export.add_argument("--to", type=Path, required=True, help="folder of the prior")
    return parser


def main() -> None:
    """Runs one command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments = _parser().parse_args()
    config = DenoiserConfig()
    torch.set_num_threads(getattr(arguments, "threads", 1))
    match arguments.command:
        case "latents":
            from pgc.pocket.denoiser.latents import cache_latents

            vae = load_trained(arguments.autoencoder, DEEP)
            cache_latents(vae, arguments.autoencoder, arguments.data, arguments.latents)
        case "train":
            from pgc.pocket.denoiser.train import train_denoiser

            config = replace(config, steps=arguments.steps)
            train_denoiser(arguments.data, arguments.latents, arguments.out, config, arguments.stop_at)
        case "export":
            from pgc.pocket.denoiser.export import export_third
            from pgc.pocket.denoiser.latents import scaling_of

            vae = load_trained(arguments.autoencoder, DEEP)
            export_third(vae, scaling_of(arguments.latents), arguments.out, arguments.to, config)
        case _:
            sys.stdout.write(json.dumps({"call_gflop": round(call_gflop(config.networks), 4)}) + "\n")


if __name__ == "__main__":
    main()
