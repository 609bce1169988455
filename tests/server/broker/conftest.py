# SPDX-License-Identifier: Apache-2.0
"""What the broker's tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.broker.core_rig import CoreRig
from tests.server.broker.rig import Client, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Not started yet."""
    found = Rig(tmp_path / "data")
    yield found
    found.close()


@pytest.fixture
def client(rig: Rig) -> Client:
    """Connected to a started broker, with the triangle's blobs uploaded."""
    rig.start()
    found = rig.client()
    found.upload()
    return found


@pytest.fixture
def make_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CoreRig]]:
    """`make_core(**settings of ServerConfig)`. Without fsync, which takes most of the time of such tests."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    made: list[CoreRig] = []

    def make(**config) -> CoreRig:
        made.append(CoreRig(tmp_path / f"core{len(made)}", **config))
        return made[-1]

    yield make
    for core in made:
        core.crash()


@pytest.fixture
def core(make_core: Callable[..., CoreRig]) -> CoreRig:
    """The logic alone, with a gate and no worker that is ready."""
    return make_core()
