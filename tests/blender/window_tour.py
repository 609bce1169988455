# SPDX-License-Identifier: Apache-2.0
"""A tour of the extension in a real Blender window, by mouse and keyboard, with a picture of each state of the panel.

    BLENDER_BIN=blender DISPLAY=:1 python -m tests.blender.window_tour --connection FILE [--zip ZIP] [--out FOLDER]

Installs the built zip with Blender's own command line into settings of its own, opens the window, and takes pictures:

    error       no server runs: a sentence, and the button that mends it
    installing  what that button leads to where no server is installed
    words       the menu of words that the built-in model knows; one of them was clicked after it
    idle        the server is there, a prompt is typed
    settings    the settings are opened, and Separate Slots is ticked: the teapot's lid has a slot of its own
    running     Generate Texture was clicked; the preview grows on the mesh
    finished    the result
    versions    after a second prompt, with the list of both; the older one was clicked and shows again
    maps        Roughness and Metallic are chosen beside Base Color
    lit         half way of a third prompt, with all three on the mesh
    material    its result
    mask        a mask is painted over a part of it, with the mouse
    bake        the dialog of Bake into One Set, from the menu beside the versions, with Occlusion ticked
    baked       what it made

FILE is the connection file of a server that runs (`pgc-server start`); the window sees it only after the first two
pictures. Needs xdotool and ImageMagick's `import`; Xvfb with GLX and LIBGL_ALWAYS_SOFTWARE=1 will do, without a window
manager. Only Python's standard library is used, so that the Python beside any Blender can run it. No part of `make
test`: the pictures are for eyes. Exit code 1: a step failed; the sentence says which, `failed.png` shows the window.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.blender.blender_window import RIGHT_END, SEE_LIMIT, BlenderWindow, WindowError

__all__ = ["Settings", "Tour", "main", "newest_zip"]

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ("a pot made of red bricks", "a blue checkered pot", "polished gold")
_COLOR_PICTURES = ("error", "installing", "words", "idle", "settings", "running", "finished", "versions")
PICTURES = (*_COLOR_PICTURES, "maps", "lit", "material", "mask", "bake", "baked")
_JOB_LIMIT = 900.0
_HEADER = 56
"""Pixels from the upper part of Generate Texture down to the header below it, at the window's scale."""
_ROW = 25
"""Pixels of a row in the sidebar."""
_DIALOG_ROW = 32
"""Pixels of a row in a dialog."""
_INTO_FIELDS = 180
"""Pixels from the menu beside the versions left to where the fields of a dialog begin that it opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a tour needs.

    Args:
        blender: Blender's executable. steps: of each texture.
    """

    blender: str
    zip_file: Path
    connection: Path
    out: Path
    steps: int = 60

    def __post_init__(self) -> None:
        for path in (self.zip_file, self.connection):
            if not path.is_file():
                raise WindowError(f"There is no file {path}.")


class Tour:
    """What is done in the window, and the pictures of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        work = settings.out / "work"
        for name in (*PICTURES, "failed"):
            # An older picture would pass for this run's.
            (settings.out / f"{name}.png").unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.connection = work / "connection.json"
        given = {
            "connection": str(self.connection),
            "mesh": str(ROOT / "pgc" / "demo" / "teapot.obj"),
            "name": "Teapot",
            "steps": settings.steps,
        }
        self.window = BlenderWindow(settings.blender, work, given)

    def picture(self, name: str) -> None:
        """The whole display, as a PNG."""
        self.window.rest()
        file = self.settings.out / f"{name}.png"
        self.window.grab(file)
        if not file.is_file():
            raise WindowError(f"`import` took no picture of {name}.")
        _say(name)

    def go(self) -> None:
        """All of it."""
        self.window.install(self.settings.zip_file)
        self.window.open()
        self.window.wait("the news that no server runs", lambda now: now["fix"] == "pgc.start_server", SEE_LIMIT)
        self.picture("error")
        self.window.click("pgc.start_server")
        self.window.wait("what is to be done first", lambda now: now["fix"] == "pgc.install_server", SEE_LIMIT)
        self.picture("installing")
        shutil.copy(self.settings.connection, self.connection)
        self.connection.chmod(0o600)
        self.window.wait("the server", lambda now: bool(now["server"]), SEE_LIMIT)
        self.insert_word()
        self.window.write("prompt", PROMPTS[0])
        self.picture("idle")
        self.separate_slots()
        self.generate("running")
        self.picture("finished")
        self.window.write("prompt", PROMPTS[1])
        self.generate(None)
        self.choose_oldest()
        self.picture("versions")
        self.whole_material()
        self.paint_mask()
        self.bake()

    def insert_word(self) -> None:
        """Open the menu of words and click the first one below its button."""
        _, y = self.window.find("pgc.prompt", "ctrl+shift+c")
        x = self.window.right_end()
        self.window.press_at(x, y, stay=True)
        self.picture("words")
        self.window.find_below("pgc.insert_word", x, y + _ROW)
        self.window.press()
        self.window.leave()
        self.window.wait("a word in the prompt", lambda now: bool(now["prompt"]), SEE_LIMIT)

    def bake(self) -> None:
        """Bake into One Set with occlusion, from the menu beside the versions."""
        x = self.window.right_end()
        _, y = self.window.find("bpy.ops.pgc.version_remove(", "ctrl+c", RIGHT_END)
        self.window.press_at(x, y + _ROW, stay=True)
        _, y = self.window.find_below("pgc.bake_set", x, y + 2 * _ROW)
        self.window.press()
        # Of the dialog's rows only numbers can be copied, such as the margin's.
        x, y = self.window.find_number("16", x - _INTO_FIELDS, y)
        self.window.press_at(x, y + 2 * _DIALOG_ROW, stay=True)
        self.picture("bake")
        before = self.window.now()["versions"]
        # Blender does not answer while it bakes.
        self.window.key("Return", rest=False)
        self.window.wait("the baked version", lambda now: now["versions"] == before + 1, _JOB_LIMIT)
        self.window.leave()
        self.window.wait("its occlusion", lambda now: "occlusion" in now["maps"], SEE_LIMIT)
        self.picture("baked")

    def separate_slots(self) -> None:
        """Open the settings, tick the box, close them again."""
        x, y = self.window.find("bpy.ops.pgc.generate(", "ctrl+c")
        self.window.press_at(x, y + _HEADER)
        # A label is to the left of the box.
        self.window.find("pgc.separate_slots", "ctrl+shift+c", 0.6)
        self.window.press()
        self.window.leave()
        self.window.wait("separate slots", lambda now: now["separate_slots"], SEE_LIMIT)
        self.picture("settings")
        self.window.press_at(x, y + _HEADER)

    def whole_material(self) -> None:
        """Choose roughness and metallic too, and generate."""
        self.window.write("prompt", PROMPTS[2])
        x, y = self.window.find("bpy.ops.pgc.generate(", "ctrl+c")
        self.window.press_at(x, y + _HEADER)
        # A label is to the left of the column, whose first row is Base Color.
        column, first = self.window.find("pgc.maps", "ctrl+shift+c", 0.6)
        for row in (1, 2):
            self.window.press_at(column, first + row * _ROW, held="shift")
        chosen = {"base_color", "roughness", "metallic"}
        self.window.wait("three maps", lambda now: set(now["chosen_maps"]) == chosen, SEE_LIMIT)
        self.picture("maps")
        self.window.press_at(x, y + _HEADER)
        self.generate("lit")
        self.window.wait("their images", lambda now: set(now["maps"]) == chosen, SEE_LIMIT)
        self.picture("material")

    def paint_mask(self) -> None:
        """Make a mask and paint on it over the middle of the object; then leave the painting.

        A Blender without its own assets (Debian's 4.3 is packed so) has no brushes: nobody can paint there.
        """
        # A label is to the left of the button.
        self.window.click("pgc.new_keep_mask", 0.7)
        self.window.wait("Texture Paint", lambda now: now["mode"] == "TEXTURE_PAINT", SEE_LIMIT)
        self.window.rest()
        if self.window.now()["brush"]:
            self.window.drag([(480 + 20 * step, 480 + 8 * (step % 3)) for step in range(8)])
            self.window.leave()
            self.window.wait("a stroke on the mask", lambda now: now["masked"] > 0.0, SEE_LIMIT)
        else:
            _say("this Blender has no brushes; the mask stays black")
        self.picture("mask")
        self.window.click("pgc.paint_keep_mask")
        self.window.wait("Object Mode", lambda now: now["mode"] == "OBJECT", SEE_LIMIT)

    def choose_oldest(self) -> None:
        """Click the picture of the oldest version in the list: the object shows it again."""
        # The newest is the first.
        self.window.click_last_row("pgc.active_version")
        self.window.wait("the oldest version", lambda now: now["shown"] == 0, SEE_LIMIT)

    def generate(self, picture: str | None) -> None:
        """Click Generate Texture, take a picture half way, wait for the result."""
        before = self.window.now()["versions"]
        self.window.click("pgc.generate")
        self.window.wait("the job to run", lambda now: now["state"] == "running" and now["step"] > 0, _JOB_LIMIT)
        if picture is not None:
            half = self.settings.steps // 2
            self.window.wait("half of the steps", lambda now: now["step"] >= half, _JOB_LIMIT)
            self.picture(picture)
        ended = self.window.wait("the result", lambda now: now["state"] in {"done", "failed"}, _JOB_LIMIT)
        if ended["state"] == "failed" or ended["versions"] != before + 1:
            raise WindowError(
                f"The job ended as {ended['state']} with {ended['versions']} versions: {ended['message']}"
            )


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def newest_zip(folder: Path) -> Path:
    """The zip that was built last. Raises WindowError where there is none."""
    found = sorted(folder.glob("pgc_texture-*.zip"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise WindowError(f"There is no zip of the extension in {folder}; first: python build_addon.py")
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
            raise WindowError(f"{name} is not set; expected {'the executable' if name[0] == 'B' else 'a display'}.")
    for tool in ("xdotool", "import"):
        if shutil.which(tool) is None:
            raise WindowError(f"There is no {tool}; install xdotool and ImageMagick.")
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
    except WindowError as error:
        _say(str(error))
        return 2
    try:
        tour.go()
    except WindowError as error:
        _say(str(error))
        tour.window.grab(tour.settings.out / "failed.png")
        return 1
    finally:
        tour.window.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
