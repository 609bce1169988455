# SPDX-License-Identifier: Apache-2.0
"""A real Blender window, with a hand on its mouse and keyboard, and an eye on its display.

Buttons are found as a person finds them: by pointing at one after the other. Blender's own Ctrl-C copies the command
of the button under the mouse (Ctrl-Shift-C the property), and probe_window.py, inside Blender, tells what was copied.
Only Python's standard library is used, so that the Python beside any Blender can run it. Needs xdotool and ImageMagick.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["RIGHT_END", "SEE_LIMIT", "BlenderWindow", "WindowError", "points"]

SEE_LIMIT = 60.0
"""Seconds until the window shows what came of a click."""
_OPEN_LIMIT = 120.0
RIGHT_END = 0.805
"""Share of the sidebar's width at which the small buttons at the right end of its rows are."""
_SCRIPT = Path(__file__).parent / "probes" / "program" / "probe_window.py"
_REST = 4
"""Reports of Blender after which the window shows what came of a click; each is at least a tenth of a second."""


class WindowError(Exception):
    """Something in the window is not as it should be; the text says which."""


def points(sidebar: Sequence[int], height: int, pitch: int, share: float = 1.0 / 3.0) -> Iterator[tuple[int, int]]:
    """Points of the screen, x and y from its upper left, down a share of the sidebar's width, such as its left third.

    Args:
        sidebar: x, y, width and height of the region, y from the window's lower edge, as Blender counts.
        height: of the window. pitch: pixels between two points; less than a button is high.
    """
    left, low, width, tall = sidebar
    x = left + int(width * share)
    for y in range(height - low - tall + pitch, height - low, pitch):
        yield x, y


class BlenderWindow:
    """One Blender with settings of its own.

    Args:
        blender: its executable. work: a folder of this window's own, empty. ui_scale: Blender's resolution scale.
        given: more for probe_window.py to know.
    """

    def __init__(self, blender: str, work: Path, given: Mapping[str, Any], ui_scale: float = 1.25) -> None:
        self._blender, self._scale = blender, ui_scale
        # A button is 20 pixels high.
        self._pitch = round(14 * ui_scale)
        self._log, self._report, self._clear = work / "blender.log", work / "report.json", work / "clear"
        files = {"report": str(self._report), "clear": str(self._clear)}
        self._given = json.dumps({**given, **files, "ui_scale": ui_scale})
        self._process: subprocess.Popen[bytes] | None = None
        resources = work / "resources"
        resources.mkdir()
        self._environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources)}

    def install(self, zip_file: Path) -> None:
        """Install an extension as from a shell, and choose in the preferences."""
        self._run("--command", "extension", "install-file", "--repo", "user_default", "--enable", str(zip_file))
        self._run("--background", "--python-exit-code", "3", "--python", str(_SCRIPT), "--", self._given)

    def _run(self, *arguments: str) -> None:
        what = f"blender {' '.join(arguments[:3])}"
        try:
            done = subprocess.run(
                [self._blender, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_OPEN_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.output or b"").decode(errors="replace")
            raise WindowError(f"{what} was not done after {_OPEN_LIMIT:.0f} s: {said[-1500:]}") from error
        if done.returncode:
            raise WindowError(f"{what} failed: {(done.stdout + done.stderr)[-1500:]}")

    def open(self) -> None:
        """Open the window over the whole display, and wait until it is drawn."""
        width, height = self._xdotool("getdisplaygeometry").split()
        command = [self._blender, "--window-geometry", "0", "0", width, height]
        command += ["--python", str(_SCRIPT), "--", self._given]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self.wait("the window", lambda now: now["ready"], _OPEN_LIMIT)

    def close(self) -> None:
        """End this window's Blender."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def now(self) -> dict[str, Any]:
        """Blender's last report."""
        if self._process is None or self._process.poll() is not None:
            raise WindowError(f"Blender has ended; {self._log} says more.")
        return json.loads(self._report.read_text(encoding="utf-8")) if self._report.exists() else {"ready": False}

    def wait(self, what: str, condition: Callable[[Mapping[str, Any]], bool], limit: float) -> Mapping[str, Any]:
        """Until a report fulfils the condition. Raises WindowError after `limit` seconds."""
        end = time.monotonic() + limit
        while not condition(now := self.now()):
            if time.monotonic() > end:
                raise WindowError(f"Waited {limit:.0f} s for {what}; the last report: {now}")
            time.sleep(0.05)
        return now

    def rest(self, reports: int = _REST) -> Mapping[str, Any]:
        """Let Blender draw what came of the last click or key."""
        begin = self.now()["ticks"]
        return self.wait("Blender's next reports", lambda now: now["ticks"] >= begin + reports, SEE_LIMIT)

    # Mouse, keyboard, eyes.

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise WindowError(f"xdotool {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def find(self, wanted: str, keys: str, share: float = 1.0 / 3.0) -> tuple[int, int]:
        """Where the first button in the sidebar is of which `keys` copy a text that begins with `wanted`.

        Args:
            share: of the sidebar's width, where to look: the right part of a row that has a label.
        """
        now = self.now()
        found = self._search(wanted, keys, points(now["sidebar"], now["height"], self._pitch, share))
        if found is None:
            raise WindowError(f"No button of the sidebar is {wanted}.")
        return found

    def find_below(self, operator: str, x: int, y: int) -> tuple[int, int]:
        """Where the first entry of an open menu is, straight below a point, that runs an operator."""
        return self._below(f"bpy.ops.{operator}(", x, y)

    def find_number(self, value: str, x: int, y: int) -> tuple[int, int]:
        """Where the first field of an open dialog is, straight below a point, that holds a number."""
        return self._below(value, x, y)

    def _below(self, wanted: str, x: int, y: int) -> tuple[int, int]:
        found = self._search(wanted, "ctrl+c", ((x, at) for at in range(y, self.now()["height"], self._pitch)))
        if found is None:
            raise WindowError(f"Nothing below {x}, {y} is {wanted}.")
        return found

    def _search(self, wanted: str, keys: str, places: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
        self._clear_clipboard()
        return next(((x, y) for x, y in places if self._copied(x, y, keys).startswith(wanted)), None)

    def _copied(self, x: int, y: int, keys: str) -> str:
        """What the clipboard holds after `keys` with the mouse there."""
        self._point(x, y)
        self._xdotool("key", keys)
        return self.rest(2)["clipboard"]

    def _clear_clipboard(self) -> None:
        self._clear.touch()
        self.wait("the clipboard", lambda now: now["clipboard"] == "-" and not self._clear.exists(), SEE_LIMIT)

    def click(self, operator: str, share: float = 1.0 / 3.0) -> None:
        """Find an operator's button, click it, and move the mouse away; `share` as in `find`."""
        self.find(f"bpy.ops.{operator}(", "ctrl+c", share)
        self.press()
        self.leave()

    def click_last_row(self, index: str) -> None:
        """Click the left end of the last row of a list, whose rows all copy as the property with the list's index."""
        keys = "ctrl+shift+c"
        x, y = self.find(index, keys)
        while True:
            self._clear_clipboard()
            if not self._copied(x, y + self._pitch, keys).startswith(index):
                break
            y += self._pitch
        self._point(self.now()["sidebar"][0] + round(30 * self._scale), y)
        self.press()
        self.leave()

    def write(self, name: str, text: str) -> None:
        """Find a text field by its property's name and type into it."""
        self.find(f"pgc.{name}", "ctrl+shift+c")
        self._xdotool("click", "--repeat", "2", "--delay", "80", "1")
        self.rest()
        self._xdotool("key", "ctrl+a")
        self._xdotool("type", "--delay", "60", text)
        self._xdotool("key", "Return")
        self.rest()
        self.leave()
        self.wait(f"the {name} that was typed", lambda now: now[name] == text, SEE_LIMIT)

    def press(self) -> None:
        """The left button, slowly: a slow Blender takes a click to be where the mouse went meanwhile."""
        for action in ("mousedown", "mouseup"):
            self._xdotool(action, "1")
            self.rest(2)

    def press_at(self, x: int, y: int, *, stay: bool = False, held: str | None = None) -> None:
        """Click a point of the screen, and move the mouse away unless it is to `stay`, such as in an open menu.

        Args:
            held: a key that is held down meanwhile, such as "shift" to choose one more.
        """
        self._point(x, y)
        if held is not None:
            self._xdotool("keydown", held)
        try:
            self.press()
        finally:
            if held is not None:
                self._xdotool("keyup", held)
        if not stay:
            self.leave()

    def right_end(self) -> int:
        """x of the small buttons at the right end of the sidebar's rows."""
        left, _, width, _ = self.now()["sidebar"]
        return left + int(RIGHT_END * width)

    def key(self, name: str, *, rest: bool = True) -> None:
        """Press a key, and let Blender draw what came of it, unless it is busy then."""
        self._xdotool("key", name)
        if rest:
            self.rest()

    def drag(self, path: Sequence[tuple[int, int]]) -> None:
        """One stroke of the left button along points of the screen."""
        self._point(*path[0])
        self._xdotool("mousedown", "1")
        for x, y in path:
            self._xdotool("mousemove", str(x), str(y))
            self.rest(1)
        self._xdotool("mouseup", "1")
        self.rest()

    def leave(self) -> None:
        """Move the mouse to where no tooltip comes up."""
        self._point(400, 300)

    def _point(self, x: int, y: int) -> None:
        # Blender wants to see the mouse move onto a button.
        self._xdotool("mousemove", str(x - 2), str(y), "mousemove", str(x), str(y))
        self.rest(2)

    def grab(self, file: Path) -> None:
        """The display as it is, as a PNG."""
        subprocess.run(["import", "-window", "root", str(file)], check=False, timeout=60)
