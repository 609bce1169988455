# SPDX-License-Identifier: Apache-2.0
"""Install torch of the right kind into the running environment, and say how large the download is first.

An unpinned `torch` from the package index brings gigabytes of CUDA libraries to a Linux machine that has no
use for them. So, on Linux without an NVIDIA driver, in this order:

1. a CPU build that pip's own configuration has at hand (`find-links`, a local index);
2. PyTorch's CPU wheels;
3. whatever plain pip finds.

With an NVIDIA driver, and on macOS and Windows, plain pip finds the right thing or the README says what to do.
Standard library only: it runs before anything is installed.
"""

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch>=2.11"
TESTED = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True)
class Choice:
    """One way to install torch: what to ask pip for, and with which options."""

    requirement: str
    options: tuple[str, ...]
    label: str


CPU_CHOICES = (
    Choice(TORCH, ("--no-index",), "a CPU build from pip's local packages"),
    Choice(TESTED, (), "a CPU build from pip's configured index"),
    Choice(TORCH, ("--index-url", CPU_INDEX, "--timeout", "15", "--retries", "1"), "PyTorch's CPU wheels"),
)
PLAIN = Choice(TORCH, (), "the package index")


def has_nvidia_driver() -> bool:
    """True where nvidia-smi runs and lists a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    listing = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    return listing.returncode == 0 and "GPU" in listing.stdout


def wants_cpu_build(system: str, machine: str, nvidia: bool) -> bool:
    """Only Linux on x86-64 (and ARM servers) gets CUDA packages unasked."""
    return system == "Linux" and machine in {"x86_64", "AMD64", "aarch64"} and not nvidia


def is_cpu_build(url: str) -> bool:
    """PyTorch marks its CPU wheels with the local version `+cpu`."""
    return "+cpu" in urllib.parse.unquote(url)


def resolve(choice: Choice, *, with_dependencies: bool) -> list[str]:
    """The addresses of the files that pip would install; empty when it finds none."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command += [] if with_dependencies else ["--no-deps"]
    result = subprocess.run(
        [*command, *choice.options, choice.requirement], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        return []
    report = json.loads(result.stdout)
    return [item["download_info"]["url"] for item in report["install"]]


def size_of(url: str) -> int | None:
    """Bytes of a file at a file: or https: address, if it can be asked for."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path)).stat().st_size
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=15) as answer:
            return int(answer.headers["Content-Length"])
    except (urllib.error.URLError, TimeoutError, TypeError, ValueError):
        return None


def describe_size(urls: list[str]) -> str:
    """For example "187 MB in 9 files"."""
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(size_of, urls))
    known = sum(size for size in sizes if size is not None)
    unknown = sum(size is None for size in sizes)
    text = f"{known / 1e6:,.0f} MB in {len(urls)} files"
    return text + (f" ({unknown} of unknown size not counted)" if unknown else "")


def choose(cpu: bool) -> Choice:
    """The first choice that pip can satisfy with the right kind of build."""
    for choice in CPU_CHOICES if cpu else ():
        urls = resolve(choice, with_dependencies=False)
        if urls and is_cpu_build(urls[0]):
            return choice
    return PLAIN


def installed_version() -> str | None:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def is_recent(version: str) -> bool:
    """True from 2.11 on."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 11)


def main() -> int:
    version = installed_version()
    if version is not None and is_recent(version):
        print(f"torch {version} is installed already.")
        return 0
    nvidia = has_nvidia_driver()
    cpu = wants_cpu_build(platform.system(), platform.machine(), nvidia)
    choice = choose(cpu)
    print("NVIDIA driver found." if nvidia else "No NVIDIA driver found.", f"Taking torch from {choice.label}.")
    # With --no-index only torch itself is at hand; its dependencies come from the index afterwards.
    alone = "--no-index" in choice.options
    urls = resolve(choice, with_dependencies=not alone)
    print(f"Download: {describe_size(urls)}." if urls else "The size of the download is unknown.", flush=True)
    target = [urls[0]] if alone else [*choice.options, choice.requirement]
    return subprocess.run([sys.executable, "-m", "pip", "install", *target], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
