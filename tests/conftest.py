# SPDX-License-Identifier: Apache-2.0
"""What all tests share: threads, and skips that can be turned into failures.

`PGC_REQUIRE=gpu,blender` names what must be there: a test marked `gpu` then fails, instead of skipping,
on a machine without a GPU. So a machine that is meant to have one cannot pass by skipping.
"""

import gc
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from tests.type_checks import forget, install

# Before anything of pgc is imported.
install()


def _has_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "no CUDA device"


def _has_blender() -> str | None:
    named = os.environ.get("PGC_BPY_PYTHON") or os.environ.get("BLENDER_BIN")
    if named or importlib.util.find_spec("bpy") is not None:
        return None
    return "no Blender here (PGC_BPY_PYTHON names a Python with its bpy module, BLENDER_BIN Blender itself)"


def _has_network() -> str | None:
    # Never probed: a test suite should not open connections unasked.
    return "the internet is used only with PGC_REQUIRE=network"


_REQUIREMENTS = {"gpu": _has_gpu, "blender": _has_blender, "network": _has_network}


def required_names(environment: dict[str, str]) -> set[str]:
    """Names in PGC_REQUIRE, for example {"gpu"}; unknown names are an error."""
    names = {name.strip() for name in environment.get("PGC_REQUIRE", "").split(",") if name.strip()}
    unknown = names - _REQUIREMENTS.keys()
    if unknown:
        raise pytest.UsageError(
            f"PGC_REQUIRE names {', '.join(sorted(unknown))}; known are {', '.join(_REQUIREMENTS)}."
        )
    return names


def pytest_configure(config: pytest.Config) -> None:
    required_names(dict(os.environ))
    # Imports make a million objects that all stay, and the collector looks at them again and again.
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on garbage is collected as ever, and what imports have made is no longer looked at."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out unless `-m` asks for something; with several workers, let each begin with slow tests."""
    benchmarks = [item for item in items if item.get_closest_marker("benchmark")]
    if benchmarks and not config.option.markexpr:
        config.hook.pytest_deselected(items=benchmarks)
        items[:] = [item for item in items if not item.get_closest_marker("benchmark")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        slow = [item for item in items if item.get_closest_marker("slow")]
        fast = [item for item in items if not item.get_closest_marker("slow")]
        items[:] = dealt(slow, fast, workers)


def dealt(slow: Sequence[pytest.Item], fast: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Returns an order whose equal parts, one a worker, each begin with slow tests and end with fast ones.

    pytest-xdist gives each worker such a part, and who is done takes from the end of another's. Were slow tests left
    for the end, one of a minute would end alone. Tests of a file stay together, since they share what they set up.
    """
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for _, group in groupby(slow, key=lambda item: item.nodeid.split("::")[0]):
        min(hands, key=len).extend(group)
    total, begin = len(slow) + len(fast), 0
    order: list[pytest.Item] = []
    for number, hand in enumerate(hands, start=1):
        end = begin + max(0, number * total // workers - len(order) - len(hand))
        order += [*hand, *fast[begin:end]]
        begin = end
    return [*order, *fast[begin:]]


def pytest_runtest_setup(item: pytest.Item) -> None:
    forget()
    required = required_names(dict(os.environ))
    for name, missing in _REQUIREMENTS.items():
        if item.get_closest_marker(name) is None:
            continue
        reason = missing()
        if name == "network":
            reason = None if "network" in required else reason
        if reason is not None and name in required:
            pytest.fail(f"PGC_REQUIRE={name}, but there is {reason}", pytrace=False)
        if reason is not None:
            pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _torch_threads():
    """At most two threads: small tensors gain nothing from more, and results stay the same everywhere."""
    torch = sys.modules.get("torch")
    # Test modules are imported before the first test, so that a suite without torch need not wait for it.
    if torch is None:
        return
    threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or min(2, os.cpu_count() or 1)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def warm_processes() -> Iterator[None]:
    """Pythons that a module's tests start are forked from one that has its imports behind it; see tests/warm."""
    from tests.warm.popen import warm

    with warm():
        yield


@pytest.fixture(autouse=True)
def _loggers_as_they_were():
    """A test that leaves a logger deaf makes a later one fail that listens; here the one that did it fails."""
    loggers = [logging.getLogger(name) for name in ("", "pgc", "server", "blender_addon")]
    before = [(logger.level, logger.disabled, logger.propagate) for logger in loggers]
    yield
    after = [(logger.level, logger.disabled, logger.propagate) for logger in loggers]
    assert after == before, "this test left a logger changed (use caplog.set_level, or undo it)"


@pytest.fixture
def coarse_uv_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """UVs are measured with a sixteenth of the samples: for tests of what follows from a verdict."""
    monkeypatch.setattr("blender_addon.uv_measure.measure._QUICK_GRID", 128)
    monkeypatch.setattr("blender_addon.uv_measure.measure._FINE_GRID", 256)


@pytest.fixture
def cube_obj(tmp_path: Path) -> Path:
    """A cube of six quads, each a UV chart of its own with room around it; Y-up."""
    places = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in places]
    for face in range(6):
        left, low = face % 3 / 3 + 0.04, face // 3 / 2 + 0.06
        right, high = left + 0.25, low + 0.38
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in ((left, low), (right, low), (right, high), (left, high))]
    for face, quad in enumerate(quads):
        lines.append("f " + " ".join(f"{corner + 1}/{4 * face + at + 1}" for at, corner in enumerate(quad)))
    path = tmp_path / "cube.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def red_texture(tmp_path: Path) -> Path:
    """A plain saturated red PNG of 32 x 32 texels."""
    from PIL import Image

    path = tmp_path / "red.png"
    Image.new("RGB", (32, 32), (220, 20, 20)).save(path)
    return path
