# SPDX-License-Identifier: Apache-2.0
"""Joins the other processes of a run, where `torchrun` started several.

    torchrun --nproc-per-node 2 -m pgc texture chair.obj --prompt "red bricks" --views 4

The first process writes and shows what a run on one card would; the others take the same steps and write nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from pgc.devices import DeviceName, resolve_device
from pgc.errors import ConfigError
from pgc.optimization.ranks import Ranks

__all__ = ["joined_ranks"]

_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(hours=1)
"""Loading a model, a preview and a bake on the first process are waited for; one that ended is noticed at once."""


@contextmanager
def joined_ranks(device: DeviceName, environment: Mapping[str, str] | None = None) -> Iterator[Ranks | None]:
    """Joins the processes of a run for as long as the block lasts; None where this is the only one.

    On CUDA, every process of a machine gets a card of its own, which is then torch's current one.

    Raises:
        ConfigError: there are more processes on this machine than cards.
    """
    variables = os.environ if environment is None else environment
    if any(name not in variables for name in _OF_TORCHRUN) or int(variables["WORLD_SIZE"]) == 1:
        yield None
        return
    place = resolve_device(device)
    if place.type == "cuda":
        place = _own_card(int(variables["LOCAL_RANK"]))
    rank, count = int(variables["RANK"]), int(variables["WORLD_SIZE"])
    where = f"tcp://{variables['MASTER_ADDR']}:{variables['MASTER_PORT']}"
    # torchrun's agent keeps the store of this address, which its processes are clients of.
    served = variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    dist.init_process_group(
        "nccl" if place.type == "cuda" else "gloo",
        init_method="env://" if served else where,
        rank=rank,
        world_size=count,
        timeout=_PATIENCE,
    )
    try:
        yield Ranks(rank=rank, count=count, device=place)
    finally:
        dist.destroy_process_group()


def _own_card(local_rank: int) -> torch.device:
    cards = torch.cuda.device_count()
    if local_rank >= cards:
        raise ConfigError(
            f"torchrun started more processes than this machine has graphics cards ({cards}); give "
            f"--nproc-per-node {cards}."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
