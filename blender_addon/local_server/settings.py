# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Install Server puts the server, and what it installs: preferences turned into a request."""

from __future__ import annotations

import tomllib
from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..client import default_connection_file
from ..server_install.planning import Request, has_nvidia_driver
from ..stored_preferences import addon_preferences

__all__ = ["CLASSES", "install_folder", "install_log", "install_request", "settings"]

_PACKAGE = Path(__file__).parents[1]


class PGC_PG_install(bpy.types.PropertyGroup):
    """Preferences of Install Server."""

    folder: StringProperty(
        name="Install Folder",
        description="Folder for the server's own Python environment; empty: in your data folder, outside Blender",
        subtype="DIR_PATH",
    )
    wheels: StringProperty(
        name="Folder of Wheels",
        description="Install from the packages in this folder, without going online; empty: from the package index",
        subtype="DIR_PATH",
    )


CLASSES = (PGC_PG_install,)


def settings() -> PGC_PG_install | None:
    """Returns the preferences; None while the extension is not enabled by Blender."""
    preferences = addon_preferences()
    return preferences.install if preferences is not None else None


def install_folder() -> Path:
    """Returns the environment's folder, beside the server's data unless the artist chose another."""
    chosen = settings()
    if chosen is not None and chosen.folder:
        return Path(bpy.path.abspath(chosen.folder))
    return default_connection_file().parent / "environment"


def install_log() -> Path:
    """Returns the file that holds what the commands of the last installation printed."""
    return default_connection_file().parent / "logs" / "install.log"


def install_request() -> Request:
    """Describes what Install Server would do now."""
    chosen = settings()
    wheels = chosen.wheels if chosen is not None else ""
    manifest = tomllib.loads((_PACKAGE / "blender_manifest.toml").read_text(encoding="utf-8"))
    bundled = sorted((_PACKAGE / "server_wheel").glob("*.whl"))
    return Request(
        folder=install_folder(),
        version=manifest["version"],
        bundled=bundled[0] if bundled else None,
        wheels=Path(bpy.path.abspath(wheels)) if wheels else None,
        online=bpy.app.online_access,
        cuda=has_nvidia_driver(),
    )
