# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from pgc.commands.texturing.remote import source_root
from pgc.remote.private_server import PrivateServer
from tests.e2e.security_rig import alice, bob, started  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def one_thread():
    """One thread here and in the server: sums then have one order, and results may be compared bit for bit."""
    torch = pytest.importorskip("torch")
    before = os.environ.get("OMP_NUM_THREADS")
    threads = torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


@pytest.fixture(scope="module")
def server(one_thread):
    """A server on the CPU in a temporary folder, shared by a module's tests; started by the first client."""
    with PrivateServer("cpu", source=source_root()) as private:
        private.start()
        yield private
