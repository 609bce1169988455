# SPDX-License-Identifier: Apache-2.0
"""Which tests are to notice a change of which module: those beside it in the house, and no others."""

from __future__ import annotations

from pathlib import Path

__all__ = ["TARGETS", "which_tests"]

ROOT = Path(__file__).resolve().parents[2]

_REGULATION, _DISTILLATION = "tests/pgc/gradient_regulation/", "tests/pgc/distillation/"
_TEXTURE, _RENDERING, _EXPORT = "tests/pgc/texture/", "tests/pgc/rendering/", "tests/pgc/export/"
_PROTOCOL, _MODEL = "tests/blender_addon/protocol/", "tests/blender_addon/model/"
_BROKER = "tests/server/broker/"

TARGETS: dict[str, tuple[str, ...]] = {
    "pgc/gradient_regulation/pixelwise_clipping.py": (f"{_REGULATION}test_pixelwise_clipping.py",),
    "pgc/gradient_regulation/base.py": (
        f"{_REGULATION}test_other_methods.py",
        f"{_REGULATION}test_pixelwise_clipping.py",
    ),
    "pgc/gradient_regulation/pixelwise_normalization.py": (f"{_REGULATION}test_other_methods.py",),
    "pgc/gradient_regulation/adaptive_clipping.py": (f"{_REGULATION}test_other_methods.py",),
    "pgc/optimization/averaging.py": ("tests/pgc/optimization/test_averaging.py",),
    "pgc/distillation/timestep.py": (f"{_DISTILLATION}test_timestep.py",),
    "pgc/distillation/hifa.py": (f"{_DISTILLATION}test_hifa.py", f"{_DISTILLATION}test_defaults.py"),
    "pgc/distillation/sds.py": (f"{_DISTILLATION}test_sds.py", f"{_DISTILLATION}test_defaults.py"),
    "pgc/distillation/csd.py": (f"{_DISTILLATION}test_csd.py", f"{_DISTILLATION}test_defaults.py"),
    "pgc/texture/locks.py": (f"{_TEXTURE}test_locks.py",),
    "pgc/texture/texel_pyramid.py": (f"{_TEXTURE}test_texel_pyramid.py", f"{_TEXTURE}test_material_field.py"),
    "pgc/texture/mip_fetch.py": (f"{_TEXTURE}test_mip_fetch.py",),
    "pgc/texture/composition.py": (f"{_TEXTURE}test_composition.py",),
    "pgc/rendering/compositing.py": (f"{_RENDERING}test_compositing.py",),
    "pgc/rendering/brdf.py": (f"{_RENDERING}test_brdf.py", f"{_RENDERING}test_pbr_shading.py"),
    "pgc/rendering/tone_curve.py": (f"{_RENDERING}test_tone_curve.py",),
    "pgc/rendering/latlong.py": (f"{_RENDERING}test_latlong.py",),
    "pgc/export/packing.py": (f"{_EXPORT}test_packing.py", f"{_EXPORT}test_material.py"),
    "pgc/export/obj.py": (f"{_EXPORT}test_obj.py", f"{_EXPORT}test_names.py"),
    "blender_addon/protocol/structure.py": (
        f"{_PROTOCOL}test_strictness.py",
        f"{_PROTOCOL}test_golden.py",
        f"{_PROTOCOL}test_round_trip.py",
    ),
    "blender_addon/protocol/arrays.py": (f"{_PROTOCOL}test_arrays.py",),
    "blender_addon/protocol/job_size.py": (f"{_PROTOCOL}test_job_size.py",),
    "server/broker/queue.py": (f"{_BROKER}scheduling/test_queue.py",),
    "server/broker/scheduling/active_run.py": (f"{_BROKER}scheduling/test_active_run.py",),
    "server/broker/scheduling/controls.py": (
        f"{_BROKER}scheduling/test_core_controls.py",
        f"{_BROKER}scheduling/test_core_cancel.py",
        f"{_BROKER}scheduling/test_core_admin.py",
    ),
    "server/broker/sessions/flood_guard.py": (f"{_BROKER}sessions/test_flood_guard.py",),
    "blender_addon/model/reducer.py": (f"{_MODEL}test_reducer.py",),
    "blender_addon/model/problems.py": (f"{_MODEL}test_problems.py",),
    "blender_addon/model/methods.py": (f"{_MODEL}test_methods.py",),
    "blender_addon/model/uv_packing.py": (f"{_MODEL}test_uv_packing.py",),
    "blender_addon/model/recent_results.py": (f"{_MODEL}test_recent_results.py",),
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
