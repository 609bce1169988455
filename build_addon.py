# SPDX-License-Identifier: Apache-2.0
"""Builds the Blender extension's zip: the same bytes from the same sources, whenever and wherever.

    python build_addon.py                      # fetches the wheels of pyzmq and msgpack for this platform with pip
    python build_addon.py --wheels FOLDER      # takes them from a folder, for all platforms that are in it

Install it in Blender: Preferences > Get Extensions > Install from Disk.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "blender_addon"
WHEELS = ("pyzmq", "msgpack")
BLENDER_PYTHONS = ("3.11", "3.13")
"""Of Blender 4.2 to 5.0 and of 5.1; what is abi3 fits later ones too."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOG = logging.getLogger("build_addon")


class BuildError(Exception):
    """The zip cannot be built; the text says why."""


def fetch_wheels(folder: Path) -> None:
    """Download the wheels for this platform and Blender's Pythons.

    Raises:
        BuildError: pip found none.
    """
    for version in BLENDER_PYTHONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, "--python-version", version, "--dest", str(folder), *WHEELS],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BuildError(f"pip has no wheels for Python {version}; give a folder of them with --wheels.")


def find_wheels(folder: Path) -> list[Path]:
    """The wheels that the extension carries, sorted by name.

    Raises:
        BuildError: one of the packages has none.
    """
    found = sorted(path for path in folder.glob("*.whl") if path.name.split("-")[0] in WHEELS)
    for name in WHEELS:
        if not any(path.name.startswith(f"{name}-") for path in found):
            raise BuildError(f"Got no wheel of {name} in {folder}; put it there: pip download --no-deps {name}")
    return found


def sources() -> Iterator[Path]:
    """Files of the add-on, sorted; no caches."""
    for path in sorted(SOURCE.rglob("*")):
        if (
            path.is_file()
            and "__pycache__" not in path.parts
            and (path.suffix in {".py", ".toml", ".md"} or path.name == "LICENSE")
        ):
            yield path


def manifest_with(wheels: list[Path]) -> str:
    """The manifest's text, with its list of wheels, which must stand before its first table."""
    text = (SOURCE / "blender_manifest.toml").read_text(encoding="utf-8")
    listed = "".join(f'  "./wheels/{wheel.name}",\n' for wheel in wheels)
    head, bracket, tail = text.partition("\n[")
    built = f"{head.rstrip()}\nwheels = [\n{listed}]\n{bracket}{tail}"
    tomllib.loads(built)
    return built


def build(wheels: list[Path], out: Path) -> Path:
    """Write the zip; returns its path. Times and modes are fixed, names are sorted."""
    manifest = manifest_with(wheels)
    version = tomllib.loads(manifest)["version"]
    entries = {str(path.relative_to(SOURCE).as_posix()): path.read_bytes() for path in sources()}
    entries["blender_manifest.toml"] = manifest.encode("utf-8")
    entries |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    entries["LICENSE-Apache-2.0.txt"] = (ROOT / "LICENSE").read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"pgc_texture-{version}.zip"
    temporary = path.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, entries[name])
    temporary.replace(path)
    return path


def main() -> int:
    """Command line; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="folder of pyzmq and msgpack wheels; default: pip fetches them")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="default: dist")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as fetched:
            folder = arguments.wheels or Path(fetched)
            if arguments.wheels is None:
                fetch_wheels(folder)
            path = build(find_wheels(folder), arguments.out)
    except BuildError as error:
        _LOG.error("%s", error)
        return 2
    _LOG.info("%s (%.1f MB)", path, path.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
