# SPDX-License-Identifier: Apache-2.0
"""Which tests are to notice a change of which module: those beside it in the house, and no others."""

from __future__ import annotations

from pathlib import Path

__all__ = ["TARGETS", "which_tests"]

ROOT = Path(__file__).resolve().parents[2]

_TEXTURE, _PROTOCOL = ("tests/pgc/texture",), ("tests/blender_addon/protocol",)

TARGETS: dict[str, tuple[str, ...]] = {
    "pgc/gradient_regulation/pixelwise_clipping.py": ("tests/pgc/gradient_regulation/test_pixelwise_clipping.py",),
    "pgc/optimization/averaging.py": ("tests/pgc/optimization/test_averaging.py",),
    "pgc/distillation/timestep.py": ("tests/pgc/distillation",),
    "pgc/distillation/hifa.py": ("tests/pgc/distillation",),
    "pgc/distillation/sds.py": ("tests/pgc/distillation",),
    "pgc/texture/locks.py": _TEXTURE,
    "pgc/texture/texel_pyramid.py": _TEXTURE,
    "pgc/texture/mip_fetch.py": _TEXTURE,
    "pgc/rendering/compositing.py": ("tests/pgc/rendering/test_compositing.py",),
    "pgc/rendering/brdf.py": ("tests/pgc/rendering/test_brdf.py", "tests/pgc/rendering/test_pbr_shading.py"),
    "pgc/rendering/tone_curve.py": ("tests/pgc/rendering/test_tone_curve.py",),
    "pgc/export/packing.py": ("tests/pgc/export/test_packing.py", "tests/pgc/export/test_material.py"),
    "blender_addon/protocol/structure.py": _PROTOCOL,
    "blender_addon/protocol/arrays.py": _PROTOCOL,
    "blender_addon/protocol/job_size.py": _PROTOCOL,
    "server/broker/scheduling/active_run.py": ("tests/server/broker/scheduling",),
    "server/broker/scheduling/controls.py": ("tests/server/broker/scheduling",),
    "blender_addon/model/reducer.py": ("tests/blender_addon/model",),
    "blender_addon/model/problems.py": ("tests/blender_addon/model",),
}


def which_tests(module: str) -> tuple[str, ...]:
    """Returns the tests for a module: those of the table, or else the folder of tests that mirrors its own.

    Raises:
        FileNotFoundError: there is neither.
    """
    if module in TARGETS:
        return TARGETS[module]
    path = Path(module)
    file = Path("tests") / path.parent / f"test_{path.name}"
    for tests in (file, file.parent):
        if (ROOT / tests).exists():
            return (tests.as_posix(),)
    raise FileNotFoundError(f"no tests for {module}: neither {file} nor its folder is there")
