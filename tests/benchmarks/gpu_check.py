# SPDX-License-Identifier: Apache-2.0
"""Everything that needs a GPU, by one command on a bare machine: Python 3.11+, torch with CUDA, and diffusers.

    python tests/benchmarks/gpu_check.py --make-gbuffers views.safetensors      # on any machine with Warp
    python tests/benchmarks/gpu_check.py --gbuffers views.safetensors --out gpu.json [--quick]

Run it from the root of a checkout; nothing needs to be installed from it. Parts whose packages are missing are
skipped, and the result says so. Exit codes: 0 all checks that ran have passed, 1 one has failed, 3 no GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

# cuBLAS needs this before CUDA starts, or deterministic algorithms are refused.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

if TYPE_CHECKING:
    from random_models import SizeName

_LOG = logging.getLogger("gpu_check")
NO_GPU = 3


def _missing(*packages: str) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _part(result: dict[str, Any], name: str, needs: tuple[str, ...], run: Callable[[], dict[str, Any]]) -> None:
    """Run one part; a missing package skips it, an exception fails it, and the others still run."""
    missing = _missing(*needs)
    if missing:
        result["parts"][name] = {"status": "skipped", "reason": f"not installed: {', '.join(missing)}"}
        _LOG.info("%s: skipped, not installed: %s", name, ", ".join(missing))
        return
    start = time.perf_counter()
    try:
        outcome: dict[str, Any] = run()
    except Exception as error:  # noqa: BLE001 - the remaining parts must run on a machine that is lent for minutes
        outcome = {
            "status": "failed",
            "error": f"{type(error).__name__}: {error}",
            "trace": traceback.format_exc(limit=-4),
        }
    outcome.setdefault("status", "passed")
    outcome["seconds"] = round(time.perf_counter() - start, 3)
    result["parts"][name] = outcome
    _LOG.info("%s: %s in %.1f s", name, outcome["status"], outcome["seconds"])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _environment(device: torch.device) -> dict[str, Any]:
    from pgc.evaluation.cache import environment

    value: dict[str, Any] = {**environment(), "device": str(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        value |= {
            "gpu": properties.name,
            "gpu_memory_gib": round(properties.total_memory / 2**30, 2),
            "cuda": torch.version.cuda,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
    return value


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--make-gbuffers", type=Path, metavar="FILE", help="trace the views on this machine and stop")
    parser.add_argument("--gbuffers", type=Path, metavar="FILE", help="views made with --make-gbuffers")
    parser.add_argument("--out", type=Path, default=Path("out/gpu_check.json"), help="where the result goes")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="fewer steps, and no SDXL")
    parser.add_argument("--tiny", action="store_true", help="tiny models only: a test of this program itself")
    return parser.parse_args(given)


def _models(quick: bool, tiny: bool) -> list[tuple[SizeName, str, int, int]]:
    """Size, precision, views a step, steps timed."""
    if tiny:
        return [("tiny", "float32", 2, 2)]
    if quick:
        return [("sd15", "float16", 1, 5)]
    return [
        ("sd15", "float16", 1, 20),
        ("sd15", "float16", 4, 10),
        ("sdxl", "float16", 1, 10),
        ("sdxl", "bfloat16", 1, 10),
        ("sdxl", "bfloat16", 4, 5),
    ]


def main(given: Sequence[str] | None = None) -> int:
    """Run the parts and write the result."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _arguments(given)
    if arguments.make_gbuffers is not None:
        from stored_scene import save_scene, trace_scene

        save_scene(arguments.make_gbuffers, trace_scene())
        _LOG.info("%s: %.2f MB", arguments.make_gbuffers, arguments.make_gbuffers.stat().st_size / 1e6)
        return 0
    if arguments.device == "cuda" and not torch.cuda.is_available():
        _LOG.error("torch %s sees no CUDA device here; run this on a machine with one.", torch.__version__)
        return NO_GPU
    if arguments.device == "cpu" and not arguments.tiny:
        _LOG.error("On the CPU this program only tests itself: add --tiny.")
        return NO_GPU
    if arguments.gbuffers is None:
        _LOG.error("--gbuffers is missing; make the file with --make-gbuffers on a machine with Warp.")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(arguments.device)
    result: dict[str, Any] = {"environment": _environment(device), "quick": arguments.quick, "parts": {}}
    run_parts(result, arguments, device)
    failed = [name for name, part in result["parts"].items() if part["status"] == "failed"]
    result["failed"] = failed
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _LOG.info("%s; %s", arguments.out, f"FAILED: {', '.join(failed)}" if failed else "all that ran has passed")
    return 1 if failed else 0


def _timed_step(*arguments: Any, **options: Any) -> dict[str, Any]:
    """`gpu_speed.step`, imported only where diffusers is known to be there."""
    import gpu_speed

    return gpu_speed.step(*arguments, **options)


def _whole() -> ModuleType:
    """`gpu_whole_run`, imported only where its packages are known to be there."""
    import gpu_whole_run

    return gpu_whole_run


def run_parts(result: dict[str, Any], arguments: argparse.Namespace, device: torch.device) -> None:
    """Agreement with the CPU first, then speed and memory, the largest model last."""
    import gpu_agreement
    from stored_scene import load_scene

    scene = load_scene(arguments.gbuffers)
    _part(result, "clipping", (), lambda: gpu_agreement.clipping(device))
    _part(result, "texel pyramid", ("scipy",), lambda: gpu_agreement.texel_pyramid(scene, device))
    _part(result, "score distillation", ("diffusers",), lambda: gpu_agreement.score_distillation(device))
    packages = ("warp", "scipy", "trimesh", "PIL", "diffusers", "transformers")
    _part(result, "device and errors", packages, lambda: _whole().device_and_errors(device))
    _part(result, "unlit run", packages, lambda: _whole().unlit_run(device))
    _part(result, "lit run", packages, lambda: _whole().lit_run(device))
    _part(result, "pocket run", packages, lambda: _whole().pocket_run(device))
    steps = 3 if arguments.quick or arguments.tiny else 20
    _part(result, "loop", ("scipy",), lambda: gpu_agreement.loop(scene, device, steps))
    for size, precision, views, steps in _models(arguments.quick, arguments.tiny):
        name = f"{size} {precision}, {views} view{'s' if views > 1 else ''} a step"
        timed = partial(_timed_step, scene, size, precision, views=views, steps=steps, device=device)
        _part(result, name, ("diffusers", "transformers", "scipy"), timed)
    _part(result, "warp", ("warp",), lambda: gpu_agreement.warp_rasterizer(scene, device))
    if device.type == "cuda":
        _part(result, "nvdiffrast", ("warp", "nvdiffrast"), lambda: gpu_agreement.nvdiffrast_rasterizer(scene, device))


if __name__ == "__main__":
    sys.exit(main())
