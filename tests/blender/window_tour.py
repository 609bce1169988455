# SPDX-License-Identifier: Apache-2.0
"""A tour of the extension in a real Blender window, by mouse and keyboard, with a picture of each state of the panel.

    BLENDER_BIN=blender DISPLAY=:1 python -m tests.blender.window_tour --connection FILE [--zip ZIP] [--out FOLDER]

Installs the built zip with Blender's own command line into settings of its own, opens the window, and takes pictures:

    error       no server runs: a sentence, and the button that mends it
    installing  what that button leads to where no server is installed
    idle        the server is there, a prompt is typed
    running     Generate Texture was clicked; the preview grows on the mesh
    finished    the result
    versions    after a second prompt, with the list of both

FILE is the connection file of a server that runs (`pgc-server start`); the window sees it only after the first two
pictures. Needs xdotool and ImageMagick's `import`; a virtual display and software OpenGL will do (Xvfb with GLX,
LIBGL_ALWAYS_SOFTWARE=1), without a window manager. Only Python's standard library is used, so that the Python beside
any Blender can run it. It is no part of `make test`: the pictures are for eyes. Exit code 1: a step failed; the
sentence says which, and `failed.png` shows the window then.

Buttons are found as a person finds them: by pointing at one after the other. Blender's own Ctrl-C copies the command
of the button under the mouse (Ctrl-Shift-C the property), and probe_window.py, inside Blender, tells what was copied.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Tour", "TourError", "main", "newest_zip", "points"]

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ("a pot made of red bricks", "a blue checkered pot")
PICTURES = ("error", "installing", "idle", "running", "finished", "versions")
_SCRIPT = Path(__file__).with_name("probe_window.py")
_OPEN_LIMIT, _SEE_LIMIT, _JOB_LIMIT = 120.0, 60.0, 900.0
_REST = 4
"""Reports of Blender after which the window shows what came of a click; each is at least a tenth of a second."""


class TourError(Exception):
    """A step of the tour failed; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a tour needs.

    Args:
        blender: Blender's executable. steps: of each texture. ui_scale: Blender's resolution scale.
    """

    blender: str
    zip_file: Path
    connection: Path
    out: Path
    steps: int = 60
    ui_scale: float = 1.25

    def __post_init__(self) -> None:
        for path in (self.zip_file, self.connection):
            if not path.is_file():
                raise TourError(f"There is no file {path}.")


def points(sidebar: Sequence[int], height: int, pitch: int) -> Iterator[tuple[int, int]]:
    """Points of the screen, x and y from its upper left, down the left third of the sidebar.

    Args:
        sidebar: x, y, width and height of the region, y from the window's lower edge, as Blender counts.
        height: of the window. pitch: pixels between two points; less than a button is high.
    """
    left, low, width, tall = sidebar
    x = left + width // 3
    for y in range(height - low - tall + pitch, height - low, pitch):
        yield x, y


class Tour:
    """One window, and what is done in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.work = settings.out / "work"
        for name in (*PICTURES, "failed"):
            # An older picture would pass for this run's.
            (settings.out / f"{name}.png").unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.report, self.clear = self.work / "report.json", self.work / "clear"
        self.connection = self.work / "connection.json"
        self.process: subprocess.Popen[bytes] | None = None
        resources = self.work / "resources"
        resources.mkdir()
        self.environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources)}

    # Blender.

    def install(self) -> None:
        """Install the zip as from a shell, and choose in the preferences."""
        zip_file = str(self.settings.zip_file)
        self._blender("--command", "extension", "install-file", "--repo", "user_default", "--enable", zip_file)
        self._blender("--background", "--python-exit-code", "3", "--python", str(_SCRIPT), "--", self._given())

    def _blender(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.settings.blender, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_OPEN_LIMIT,
            check=False,
        )
        if done.returncode:
            raise TourError(f"blender {' '.join(arguments[:3])} failed: {(done.stdout + done.stderr)[-1500:]}")

    def _given(self) -> str:
        return json.dumps(
            {
                "report": str(self.report),
                "clear": str(self.clear),
                "connection": str(self.connection),
                "mesh": str(ROOT / "pgc" / "demo" / "teapot.obj"),
                "name": "Teapot",
                "steps": self.settings.steps,
                "ui_scale": self.settings.ui_scale,
            }
        )

    def open(self) -> None:
        """Open the window over the whole display, and wait until it is drawn."""
        width, height = self._xdotool("getdisplaygeometry").split()
        command = [self.settings.blender, "--window-geometry", "0", "0", width, height]
        command += ["--python", str(_SCRIPT), "--", self._given()]
        with (self.work / "blender.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.wait("the window", lambda now: now["ready"], _OPEN_LIMIT)

    def close(self) -> None:
        """End this tour's Blender."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def now(self) -> dict[str, Any]:
        """Blender's last report."""
        if self.process is None or self.process.poll() is not None:
            raise TourError(f"Blender has ended; {self.work / 'blender.log'} says more.")
        return json.loads(self.report.read_text(encoding="utf-8")) if self.report.exists() else {"ready": False}

    def wait(self, what: str, condition: Callable[[Mapping[str, Any]], bool], limit: float) -> Mapping[str, Any]:
        """Until a report fulfils the condition. Raises TourError after `limit` seconds."""
        end = time.monotonic() + limit
        while not condition(now := self.now()):
            if time.monotonic() > end:
                raise TourError(f"Waited {limit:.0f} s for {what}; the last report: {now}")
            time.sleep(0.05)
        return now

    def rest(self, reports: int = _REST) -> Mapping[str, Any]:
        """Let Blender draw what came of the last click or key."""
        begin = self.now()["ticks"]
        return self.wait("Blender's next reports", lambda now: now["ticks"] >= begin + reports, _SEE_LIMIT)

    # Mouse, keyboard, eyes.

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise TourError(f"xdotool {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def find(self, wanted: str, keys: str) -> tuple[int, int]:
        """Where the button in the sidebar is of which `keys` copy a text that begins with `wanted`."""
        self.clear.touch()
        self.wait("the clipboard", lambda now: now["clipboard"] == "-", _SEE_LIMIT)
        now = self.now()
        for x, y in points(now["sidebar"], now["height"], round(14 * self.settings.ui_scale)):
            # Blender wants to see the mouse move onto a button.
            self._xdotool("mousemove", str(x - 2), str(y), "mousemove", str(x), str(y))
            self.rest(2)
            self._xdotool("key", keys)
            if self.rest(2)["clipboard"].startswith(wanted):
                return x, y
        raise TourError(f"No button of the sidebar is {wanted}.")

    def click(self, operator: str) -> None:
        """Find an operator's button, click it, and move the mouse away."""
        self.find(f"bpy.ops.{operator}(", "ctrl+c")
        self._xdotool("click", "1")
        self.leave()

    def write(self, name: str, text: str) -> None:
        """Find a text field by its property's name and type into it."""
        self.find(f"pgc.{name}", "ctrl+shift+c")
        self._xdotool("click", "--repeat", "2", "--delay", "80", "1")
        self.rest()
        self._xdotool("key", "ctrl+a")
        self._xdotool("type", "--delay", "60", text)
        self._xdotool("key", "Return")
        self.leave()
        self.wait(f"the {name} that was typed", lambda now: now[name] == text, _SEE_LIMIT)

    def leave(self) -> None:
        """Move the mouse to where no tooltip comes up."""
        self._xdotool("mousemove", "400", "300", "mousemove", "402", "302")
        self.rest()

    def picture(self, name: str) -> None:
        """The whole display, as a PNG."""
        self.rest()
        self.grab(name)
        if not (self.settings.out / f"{name}.png").is_file():
            raise TourError(f"`import` took no picture of {name}.")
        _say(name)

    def grab(self, name: str) -> None:
        """The display as it is."""
        subprocess.run(["import", "-window", "root", str(self.settings.out / f"{name}.png")], check=False, timeout=60)

    # The tour.

    def go(self) -> None:
        """All of it."""
        self.install()
        self.open()
        self.wait("the news that no server runs", lambda now: now["message"] or now["ticks"] > 60, _SEE_LIMIT)
        self.picture("error")
        self.click("pgc.start_server")
        self.picture("installing")
        shutil.copy(self.settings.connection, self.connection)
        self.connection.chmod(0o600)
        self.wait("the server", lambda now: bool(now["server"]), _SEE_LIMIT)
        self.write("prompt", PROMPTS[0])
        self.picture("idle")
        self.generate("running")
        self.picture("finished")
        self.write("prompt", PROMPTS[1])
        self.generate(None)
        self.picture("versions")

    def generate(self, picture: str | None) -> None:
        """Click Generate Texture, take a picture half way, wait for the result."""
        before = self.now()["versions"]
        self.click("pgc.generate")
        self.wait("the job to run", lambda now: now["state"] == "running" and now["step"] > 0, _JOB_LIMIT)
        if picture is not None:
            half = self.settings.steps // 2
            self.wait("half of the steps", lambda now: now["step"] >= half, _JOB_LIMIT)
            self.picture(picture)
        ended = self.wait("the result", lambda now: now["state"] in {"done", "failed"}, _JOB_LIMIT)
        if ended["state"] == "failed" or ended["versions"] != before + 1:
            raise TourError(f"The job ended as {ended['state']} with {ended['versions']} versions: {ended['message']}")


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def newest_zip(folder: Path) -> Path:
    """The zip that was built last. Raises TourError where there is none."""
    found = sorted(folder.glob("pgc_texture-*.zip"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise TourError(f"There is no zip of the extension in {folder}; first: python build_addon.py")
    return found[-1]


def _settings(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connection", type=Path, required=True, help="connection file of a server that runs")
    parser.add_argument("--zip", type=Path, help="of the extension; default: the newest in dist")
    parser.add_argument("--out", type=Path, default=Path("out/window"), help="default: out/window")
    parser.add_argument("--steps", type=int, default=60, help="of each texture, default: 60")
    given = parser.parse_args(arguments)
    for name in ("BLENDER_BIN", "DISPLAY"):
        if not environment.get(name):
            raise TourError(f"{name} is not set; expected {'the executable' if name[0] == 'B' else 'a display'}.")
    for tool in ("xdotool", "import"):
        if shutil.which(tool) is None:
            raise TourError(f"There is no {tool}; install xdotool and ImageMagick.")
    return Settings(
        blender=environment["BLENDER_BIN"],
        zip_file=(given.zip or newest_zip(ROOT / "dist")).resolve(),
        connection=given.connection.resolve(),
        out=given.out.resolve(),
        steps=given.steps,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 where the whole tour went well, 1 where a step failed, 2 where something is missing."""
    try:
        tour = Tour(_settings(arguments, os.environ))
    except TourError as error:
        _say(str(error))
        return 2
    try:
        tour.go()
    except TourError as error:
        _say(str(error))
        tour.grab("failed")
        return 1
    finally:
        tour.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
