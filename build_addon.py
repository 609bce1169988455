# SPDX-License-Identifier: Apache-2.0
"""Builds the Blender extension's zips and the server's wheel: the same bytes from the same sources and wheels.

    python build_addon.py                      # for this platform; pip fetches the wheels of pyzmq and msgpack
    python build_addon.py --platforms all      # a zip for each platform that Blender runs on
    python build_addon.py --wheels FOLDER      # takes the wheels from a folder instead

Install a zip in Blender: Preferences > Get Extensions > Install from Disk. With BLENDER_BIN set to Blender's
executable, Blender's own tool checks each zip.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blender_addon.whole_file import replacing, write_whole

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "blender_addon"
WHEELS = {"pyzmq": "27.3.0", "msgpack": "1.2.4"}
"""What the extension carries, in the versions that are fetched: so a later build gets the same bytes."""
BLENDER_PYTHONS = ("3.11", "3.13", "3.14")
"""Of Blender 4.2 to 5.0, of 5.1 and 5.2, and of the Blenders of Linux distributions. What is abi3 fits later ones."""
_LINUX = tuple(f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1))
PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "linux-x64": (*_LINUX, "manylinux2014_x86_64"),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
    "windows-x64": ("win_amd64",),
    "windows-arm64": ("win_arm64",),
}
"""Blender's names of platforms, with pip's tags of what runs there."""
_TEXT = {".py", ".toml", ".md", ".json"}
_EPOCH = (1980, 1, 1, 0, 0, 0)
_INSTALLER = ("server_install/runner.py", "operators/server/install_server.py", "operators/server/remove_server.py")
_SWITCH = "INSTALL_SERVER = True"
_LOG = logging.getLogger("build_addon")


class BuildError(Exception):
    """The zip cannot be built; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What one zip holds.

    Args:
        platform: Blender's name of it; None: the wheels say nothing about it, as in a zip for every platform.
        server: the server's wheel, which Install Server then takes; None: it asks the package index.
        install_server: False leaves the button and its code out, as Blender's own platform wants it.
    """

    platform: str | None = None
    server: Path | None = None
    install_server: bool = True

    def __post_init__(self) -> None:
        if self.platform is not None and self.platform not in PLATFORMS:
            raise BuildError(f"Got the platform {self.platform!r}; expected one of {', '.join(PLATFORMS)}.")
        if self.server is not None and not self.install_server:
            raise BuildError("A zip without Install Server has no use for the server's wheel; give one or the other.")


def this_platform() -> str:
    """Blender's name of the platform that this runs on."""
    system = {"Darwin": "macos", "Windows": "windows"}.get(platform.system(), "linux")
    machine = "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x64"
    return f"{system}-{machine}"


def fetch_wheels(folder: Path, name: str) -> None:
    """Download the wheels for a platform and Blender's Pythons.

    Raises:
        BuildError: pip found none.
    """
    if name not in PLATFORMS:
        raise BuildError(f"There are no wheels to fetch for {name}; expected one of {', '.join(PLATFORMS)}.")
    tags = [part for tag in PLATFORMS[name] for part in ("--platform", tag)]
    for version in BLENDER_PYTHONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += [*tags, "--python-version", version, "--dest", str(folder), "--retries", "1", "--timeout", "20"]
        pinned = [f"{package}=={number}" for package, number in WHEELS.items()]
        done = subprocess.run([*command, *pinned], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise BuildError(
                f"pip has no wheels for Python {version} on {name} ({last}); give a folder of them with --wheels."
            )


def find_wheels(folder: Path, name: str | None = None) -> list[Path]:
    """The wheels that the extension carries, sorted by name; those for one platform only, where it is named.

    Raises:
        BuildError: one of the packages has none, or several versions: Blender would take the highest.
    """
    found = sorted(path for path in folder.glob("*.whl") if path.name.split("-")[0] in WHEELS)
    if name is not None:
        found = [path for path in found if _fits(path, name)]
    for package in WHEELS:
        versions = {path.name.split("-")[1] for path in found if path.name.startswith(f"{package}-")}
        if not versions:
            where = "" if name is None else f" for {name}"
            raise BuildError(f"Got no wheel of {package}{where} in {folder}; put it there: pip download {package}")
        if len(versions) > 1:
            raise BuildError(f"Got {package} in versions {', '.join(sorted(versions))} in {folder}; leave one there.")
    return found


def _fits(wheel: Path, name: str) -> bool:
    system, machine = name.split("-")
    tags = wheel.stem.split("-")[-1]
    kinds = {"linux": "linux", "macos": "macosx", "windows": "win"}
    machines = {"x64": ("x86_64", "amd64", "universal2"), "arm64": ("arm64", "aarch64", "universal2")}
    return tags == "any" or any(
        re.match(rf"(many|musl)?{kinds[system]}", tag) and tag.endswith(machines[machine]) for tag in tags.split(".")
    )


def sources() -> Iterator[Path]:
    """Files of the add-on, sorted; no caches, and no README.md, whose pictures and links lead out of the folder."""
    for path in sorted(SOURCE.rglob("*")):
        wanted = path.suffix in _TEXT or path.name == "LICENSE"
        if wanted and path.name != "README.md" and path.is_file() and "__pycache__" not in path.parts:
            yield path


def carried_name(wheel: Path) -> str:
    """Name of a wheel in the zip: with the build tag 1, unless it is for Python 3.11 or for all.

    The first releases of Blender 4.2 look only at the names of wheels: of one version they take the name that sorts
    last, whatever their Python. A digit sorts before the `c` of cp311, so they get the one that is for them, and
    later Blenders, which do look at the tags, may have this name as well.
    """
    package, version, *tags = wheel.name.split("-")
    if len(tags) == 4 or tags[0] in {"cp311", "py3", "py2.py3"}:
        return wheel.name
    return "-".join((package, version, "1", *tags))


def manifest_with(wheels: list[Path], name: str | None = None) -> str:
    """The manifest's text, with its wheels and platform, which must stand before its first table."""
    text = _text_of(SOURCE / "blender_manifest.toml").decode()
    listed = "".join(f'  "./wheels/{carried_name(wheel)}",\n' for wheel in wheels)
    platforms = "" if name is None else f'platforms = ["{name}"]\n'
    head, bracket, tail = text.partition("\n[")
    built = f"{head.rstrip()}\n{platforms}wheels = [\n{listed}]\n{bracket}{tail}"
    tomllib.loads(built)
    return built


def _text_of(path: Path) -> bytes:
    # A checkout on Windows may have put carriage returns in.
    return path.read_bytes().replace(b"\r\n", b"\n")


def _entries(wheels: list[Path], variant: Variant) -> dict[str, bytes]:
    """Name and content of each file of the zip."""
    entries = {path.relative_to(SOURCE).as_posix(): _text_of(path) for path in sources()}
    if not variant.install_server:
        for name in _INSTALLER:
            del entries[name]
        options = entries["build_options.py"].decode()
        if _SWITCH not in options:
            raise BuildError(f"build_options.py has no line {_SWITCH!r}; expected the switch of Install Server there.")
        entries["build_options.py"] = options.replace(_SWITCH, _SWITCH.replace("True", "False")).encode()
    entries["blender_manifest.toml"] = manifest_with(wheels, variant.platform).encode()
    entries["LICENSE-Apache-2.0.txt"] = _text_of(ROOT / "LICENSE")
    entries |= {f"wheels/{carried_name(wheel)}": wheel.read_bytes() for wheel in wheels}
    if variant.server is not None:
        entries[f"server_wheel/{variant.server.name}"] = variant.server.read_bytes()
    return entries


def build(wheels: list[Path], out: Path, variant: Variant | None = None) -> Path:
    """Write a zip; returns its path. Times and modes are fixed, names are sorted, nothing is compressed: not every
    zlib gives the same bytes, and the wheels, nine tenths of it, are compressed already."""
    variant = variant or Variant()
    entries = _entries(wheels, variant)
    version = tomllib.loads(entries["blender_manifest.toml"].decode())["version"]
    out.mkdir(parents=True, exist_ok=True)
    suffix = "" if variant.platform is None else f"-{variant.platform.replace('-', '_')}"
    path = out / f"pgc_texture-{version}{suffix}.zip"
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, entries[name])
    return path


def build_server_wheel(out: Path) -> Path:
    """Build the wheel of the library and the server with pip, from a clean copy with fixed modes and times.

    Raises:
        BuildError: pip could not.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        for name in ("pgc", "server", "blender_addon"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copyfile(ROOT / name, copy / name)
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        built = Path(folder) / "built"
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Else pip makes an environment and loads setuptools into it.
        command += ["--no-build-isolation"] if _has_setuptools() else []
        command += ["--wheel-dir", str(built), str(copy)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
        )
        found = sorted(built.glob("*.whl"))
        if done.returncode or not found:
            raise BuildError(f"pip could not build the server's wheel: {done.stderr.strip()[-2000:]}")
        target = out / found[0].name
        write_whole(target, found[0].read_bytes())
    return target


def _has_setuptools() -> bool:
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= 77  # As pyproject.toml asks.
    except importlib.metadata.PackageNotFoundError:
        return False


def validate(path: Path, blender: str) -> None:
    """Let Blender's own tool check a zip. Raises BuildError with what it found."""
    command = [blender, "--command", "extension", "validate", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise BuildError(f"Blender refuses {path.name}: {(done.stdout + done.stderr).strip()[-2000:]}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="folder of pyzmq and msgpack wheels; default: pip fetches them")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="default: dist")
    parser.add_argument("--platforms", nargs="+", default=[this_platform()], help=f"all, or of {', '.join(PLATFORMS)}")
    parser.add_argument("--no-server", action="store_true", help="build no wheel of the server, carry none")
    parser.add_argument("--no-install-server", action="store_true", help="leave Install Server out of the extension")
    return parser


def _build_all(arguments: argparse.Namespace) -> list[Path]:
    server = None if arguments.no_server else build_server_wheel(arguments.out)
    paths = [] if server is None else [server]
    for name in PLATFORMS if arguments.platforms == ["all"] else arguments.platforms:
        carried = None if arguments.no_install_server else server
        variant = Variant(platform=name, server=carried, install_server=not arguments.no_install_server)
        with tempfile.TemporaryDirectory() as fetched:
            folder = arguments.wheels or Path(fetched)
            if arguments.wheels is None:
                fetch_wheels(folder, name)
            paths.append(build(find_wheels(folder, name), arguments.out, variant))
        if blender := os.environ.get("BLENDER_BIN"):
            validate(paths[-1], blender)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        paths = _build_all(_parser().parse_args(arguments))
    except BuildError as error:
        _LOG.error("%s", error)
        return 2
    for path in paths:
        _LOG.info("%s (%.1f MB)", path, path.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
