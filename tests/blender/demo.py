# SPDX-License-Identifier: Apache-2.0
"""The demo's part in Blender: builds the extension, installs it, textures the teapot by its operators, renders it.

    python -m tests.blender.demo --out out/demo     # writes blender*.png and blender.blend there

It lies with the tests since it drives the built zip from outside, as they do, and since pgc knows nothing of Blender.
Without Blender (BLENDER_BIN, PGC_BPY_PYTHON, or bpy in this Python) it says so and does nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import build_addon
from pgc.demo.assets import demo_mesh_path
from pgc.demo.page import BLENDER_LIGHTS, BLENDER_PROMPT
from pgc.remote.private_server import PrivateServer
from pgc.rendering.environment import Environment, colored_key, sky, studio
from tests.blender.blender_process import ROOT, BlenderProcess, ProbeError, find_blender, probe_script

__all__ = ["environments", "main", "run"]

LIMIT = 1800.0
SERVER_LIMIT = 60.0
_SCRIPT = probe_script("probe_demo.py")


def build(folder: Path, wheels: Path | None) -> Path:
    """The extension's zip for this platform. Raises BuildError where its wheels cannot be had."""
    platform = build_addon.this_platform()
    if wheels is None:
        wheels = folder / "wheels"
        wheels.mkdir()
        build_addon.fetch_wheels(wheels, platform)
    return build_addon.build(build_addon.find_wheels(wheels, platform), folder, build_addon.Variant(platform=platform))


def run(blender: BlenderProcess, zip_file: Path, out: Path, work: Path) -> str:
    """Install, texture, render under every light; returns Blender's version.

    Raises:
        ProbeError: Blender failed, or no texture came.
    """
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    lights = []
    for environment, (light, file) in zip(environments(), BLENDER_LIGHTS.items(), strict=True):
        radiance = work / f"{light}.npy"
        np.save(radiance, environment.radiance.numpy())
        lights.append({"radiance": str(radiance), "picture": str((out / file).resolve())})
    blender.call(_SCRIPT, "install", {"path": str(zip_file)}, work=work, limit=LIMIT, own_process=True)
    with PrivateServer(source=ROOT) as server:
        server.start()
        _wait_for(server)
        arguments = {
            "mesh": str(demo_mesh_path()),
            "connection": str(server.connection),
            "prompt": BLENDER_PROMPT,
            "lights": lights,
            "blend": str((out / "blender.blend").resolve()),
            "limit": LIMIT - 60.0,
        }
        answer = blender.call(_SCRIPT, "texture_and_render", arguments, work=work, limit=LIMIT, own_process=True)
    if answer["states"][-1] != "done":
        raise ProbeError(f"Blender got no texture: {answer['message']} (states: {', '.join(answer['states'])})")
    return answer["version"]


def environments() -> tuple[Environment, ...]:
    """Of `BLENDER_LIGHTS`, in its order."""
    return studio(), sky(), colored_key()


def _wait_for(server: PrivateServer) -> None:
    end = time.monotonic() + SERVER_LIMIT
    while not server.connection.is_file():
        if (failure := server.failure()) is not None:
            raise ProbeError(failure)
        if time.monotonic() > end:
            raise ProbeError(f"The server was not up after {SERVER_LIMIT:.0f} s.")
        time.sleep(0.05)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 where it went well or there is no Blender, 1 where it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: out/demo")
    parser.add_argument("--wheels", type=Path, help="folder of pyzmq and msgpack wheels; default: pip fetches them")
    given = parser.parse_args(arguments)
    for name in (*BLENDER_LIGHTS.values(), "blender.blend"):
        # An older picture would pass for this run's.
        (given.out / name).unlink(missing_ok=True)
    blender = find_blender(os.environ)
    if blender is None:
        _say("No Blender here, so the demo ends without its pictures (BLENDER_BIN or PGC_BPY_PYTHON names one).")
        return 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pgc-blender-", ignore_cleanup_errors=True) as folder:
        try:
            zip_file = build(Path(folder), given.wheels)
        except build_addon.BuildError as error:
            _say(f"The demo ends without Blender's pictures: {error}")
            return 0
        _say(f"The extension in Blender ({blender}): {BLENDER_PROMPT} …")
        try:
            version = run(blender, zip_file, given.out, Path(folder) / "work")
        except ProbeError as error:
            _say(str(error))
            return 1
    picture = (given.out / "blender.png").resolve()
    _say(f"Blender {version}, {time.monotonic() - begin:.0f} s: {picture.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
