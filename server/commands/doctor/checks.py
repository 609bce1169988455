# SPDX-License-Identifier: Apache-2.0
"""What `pgc-server doctor` looks at, apart from the tiny job. Nothing is changed: temporary files go at once."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zmq

from pgc.terminal.failures import sentence_of
from server.commands.doctor.findings import Finding, failure, ok, warning
from server.commands.doctor.network import check_echo, check_port
from server.config import QuotaConfig, ServerPaths
from server.errors import ConfigError
from server.platform import is_private
from server.storage.named_files import NamedFiles
from server.storage.quarantine import quarantined
from server.storage.room import data_folder_problem

__all__ = ["CHECKS", "run_checks"]

_MIB = 1 << 20
_GIB = 1 << 30
_FSYNC_SLOW = 0.1
_EARLIEST = 1_750_000_000.0
"""A clock before this (June 2025) is certainly wrong."""


def check_python(paths: ServerPaths) -> Finding:
    """Checks the interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return ok("python", version)
    return warning("python", f"{version} is not one that pgc was tried with.", "Use Python 3.11 to 3.14.")


def check_torch(paths: ServerPaths) -> Finding:
    """Checks PyTorch, and whether it and the graphics driver fit together."""
    try:
        import torch

        from pgc.devices import unused_accelerator
    except ImportError as error:
        return failure("torch", f"PyTorch cannot be imported ({error}).", "Install it again: pip install torch")
    version, why = f"{torch.__version__}", unused_accelerator()
    if why is None and not torch.cuda.is_available():
        return ok("torch", f"{version}, no NVIDIA graphics card: jobs run on the CPU")
    if why is None:
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return ok("torch", f"{version}, {names}")
    what, _, to_do = why.partition("; ")
    return warning("torch", f"{what}.", f"{to_do[:1].upper()}{to_do[1:]}")


def check_rasterizer(paths: ServerPaths) -> Finding:
    """Checks what draws the views, which decides under which licence a card may be used."""
    try:
        import torch

        from pgc.devices import with_index
        from pgc.rendering.raster.nvdiffrast_rasterizer import (
            LICENCE,
            NvdiffrastError,
            check_nvdiffrast,
            is_nvdiffrast_installed,
        )
    except ImportError as error:
        return failure("rasterizer", f"It cannot be imported ({error}).", "Install it again: pip install pgc-texture")
    if not is_nvdiffrast_installed():
        return ok("rasterizer", "Warp (Apache-2.0); nvdiffrast is not installed, and not needed")
    if not torch.cuda.is_available():
        return ok("rasterizer", "Warp (Apache-2.0); nvdiffrast is installed, but draws on NVIDIA cards alone")
    try:
        check_nvdiffrast(with_index("cuda"))
    except NvdiffrastError as error:
        return warning("rasterizer", f"Warp is used. {error}", "Install nvdiffrast again, or uninstall it.")
    return ok("rasterizer", f"nvdiffrast; {LICENCE}. For such work: pgc-server start --rasterizer warp")


def check_zmq(paths: ServerPaths) -> Finding:
    """Checks that ZeroMQ has encryption, and no known holes."""
    version = ".".join(map(str, zmq.zmq_version_info()))
    if not zmq.has("curve"):
        return failure("zmq", f"libzmq {version} has no CURVE encryption.", "Install pyzmq from its own wheels.")
    if zmq.zmq_version_info() < (4, 3, 5):
        return failure("zmq", f"libzmq {version} has known holes.", "Update: pip install -U pyzmq")
    return ok("zmq", f"ready (libzmq {version} with CURVE, pyzmq {zmq.pyzmq_version()})")


def check_rights(paths: ServerPaths) -> Finding:
    """Checks whether the data directory is the user's alone, and can be written to."""
    problem = data_folder_problem(paths.root)
    if problem is not None:
        return failure("rights", problem, "Give another --data.")
    if not paths.root.exists():
        parent = _existing(paths.root)
        if os.access(parent, os.W_OK):
            return ok("rights", f"{paths.root} is not there yet; the server will make it, for you alone")
        return failure("rights", f"{paths.root} cannot be made.", "Give another --data, or correct the rights.")
    secret = [paths.root, paths.keys, paths.connection, *paths.keys.rglob("*.json")]
    open_ones = [path.name for path in secret if path.exists() and not is_private(path)]
    if open_ones:
        return failure(
            "rights",
            f"Others can read {', '.join(open_ones)}.",
            f"Run: chmod -R go-rwx '{paths.root}'; then pair anew.",
        )
    if not os.access(paths.root, os.W_OK):
        return failure("rights", f"{paths.root} cannot be written to.", "Correct the rights, or give another --data.")
    return ok("rights", f"{paths.root} belongs to you alone")


def _existing(path: Path) -> Path:
    """The first folder on the way up that is there and may be looked into."""
    return next(parent for parent in (path, *path.parents) if os.path.isdir(parent))


def check_journal(paths: ServerPaths) -> Finding:
    """Checks whether the journal of jobs is whole."""
    if not paths.journal.is_file():
        return ok("journal", "none yet: no server has run here")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{paths.journal}?mode=ro", uri=True, timeout=5.0)) as database:
            answer = str(database.execute("PRAGMA integrity_check").fetchone()[0])
    except (sqlite3.Error, UnicodeDecodeError) as error:  # What it quotes of a damaged schema may be no text.
        answer = str(error)
    if answer == "ok":
        return ok("journal", f"whole, {paths.journal.stat().st_size / _MIB:.1f} MiB")
    return failure(
        "journal", f"The journal is damaged: {answer}.", f"Stop the server and put {paths.journal.name} aside."
    )


def check_quarantine(paths: ServerPaths) -> Finding:
    """Checks whether anything damaged or unknown was set aside."""
    found = quarantined(paths)
    if not found.files:
        return ok("quarantine", "nothing was set aside")
    hint = "Look whether you miss any of it; it goes after 30 days. Damaged files again and again: a disk in trouble."
    return warning("quarantine", f"{found.sentence(paths)}.", hint)


def check_disk(paths: ServerPaths) -> Finding:
    """Checks the space, and how long it takes until bytes are safe."""
    folder = _existing(paths.root)
    usage = shutil.disk_usage(folder)
    free, floor = usage.free, QuotaConfig().floor_of(usage.total)
    if free < floor:
        return failure(
            "disk",
            f"{free / _GIB:.1f} GiB are free; below {floor / _GIB:.1f} the server takes on nothing new.",
            "Free some space, or start it with a lower floor: pgc-server start --disk-floor GIB",
        )
    seconds = _fsync_seconds(folder)
    text = f"{free / _GIB:.0f} GiB free; a write is safe after {seconds * 1000:.1f} ms"
    if seconds > _FSYNC_SLOW:
        return warning("disk", text, "A network drive, or a disk in trouble: put --data on a local disk.")
    return ok("disk", text)


def _fsync_seconds(folder: Path) -> float:
    """Median of five small writes."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        for _ in range(5):
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[2]


def check_clock(paths: ServerPaths) -> Finding:
    """Checks whether the clock is plausible; job times and certificates of downloads depend on it."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now))
    if now < _EARLIEST:
        return warning("clock", f"It says {shown}.", "Set the clock: downloads fail with a wrong one.")
    return ok("clock", shown)


def check_models(paths: ServerPaths) -> Finding:
    """Checks whether the pocket prior is there, models that were pulled are as they were, and named files are where
    they were."""
    from pgc.guidance.models import ALL_MODELS, is_model_installed
    from server.worker.model_store import ModelStore

    store = ModelStore(paths.models)
    here = [model.key for model in ALL_MODELS if is_model_installed(model, cache_dir=store.root)]
    damaged = [key for key in here if key != "pocket" and store.changed_files(key)]
    if damaged:
        return failure(
            "models", f"Files of {', '.join(damaged)} have changed.", f"Run: pgc-server models pull {damaged[0]}"
        )
    if "pocket" not in here:
        return failure("models", "The pocket prior is missing.", "Install pgc-texture again.")
    try:
        gone = [one for one in NamedFiles(store.root).all() if not one.is_there]
    except ConfigError as error:
        return warning("models", str(error), "Jobs that choose by name are refused until then.")
    if gone:
        names = ", ".join(f"{one.kind} {one.key} ({one.source})" for one in gone)
        advice = f"Make it readable, or run: pgc-server models forget {gone[0].kind} {gone[0].key}"
        return warning("models", f"Named, but not there or not to be read: {names}.", advice)
    return ok("models", ", ".join(here))


def check_ray(paths: ServerPaths) -> Finding:
    """Checks Ray, which is optional; where it is installed, it must ask for a token."""
    if importlib.util.find_spec("ray") is None:
        return ok("ray", "not installed, and not needed on one machine")
    version = importlib.metadata.version("ray")
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return ok("ray", f"{version}, with a token")
    return warning(
        "ray", f"{version} runs code of anybody who reaches it.", "Set RAY_AUTH_MODE=token before Ray is started."
    )


CHECKS: tuple[Callable[[ServerPaths], Finding], ...] = (
    check_python,
    check_torch,
    check_rasterizer,
    check_zmq,
    check_rights,
    check_port,
    check_echo,
    check_journal,
    check_quarantine,
    check_disk,
    check_clock,
    check_models,
    check_ray,
)


def run_checks(paths: ServerPaths, checks: tuple[Callable[[ServerPaths], Finding], ...] = CHECKS) -> Iterator[Finding]:
    """Yields one finding a check, as it comes. A check that breaks is a failure of its own."""
    for check in checks:
        name = check.__name__.removeprefix("check_")
        try:
            yield check(paths)
        except OSError as error:
            yield failure(name, sentence_of(error), "Give another --data, or correct what the system refuses.")
        except Exception as error:  # noqa: BLE001 - the doctor is to finish whatever is wrong with the patient
            yield failure(name, f"The check itself failed: {type(error).__name__}: {error}", "Please report this.")
