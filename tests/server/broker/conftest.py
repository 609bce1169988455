# SPDX-License-Identifier: Apache-2.0
"""What the broker's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
