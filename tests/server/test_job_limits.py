# SPDX-License-Identifier: Apache-2.0
"""What WELCOME promises comes from the machine's memory."""

from dataclasses import replace

import psutil
import pytest

from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.job_size import BYTES_PER_LIT_TEXEL, BYTES_PER_TEXEL, BYTES_PER_TRIANGLE, MOST_TRIANGLES
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import Error, Hello, Submit, Welcome
from pgc.guidance.specs import OracleSpec
from pgc.mesh import MAX_TRIANGLES
from pgc.runs.memory.plan import texels_gb
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides
from server.job_limits import limits_for, machine_memory
from tests.server.broker.conftest import make_core
from tests.server.broker.rig import spec

__all__ = ["make_core"]

GIB = 1 << 30
MAPS = ("base_color", "roughness", "metallic", "normal")


@pytest.mark.parametrize("memory", [2 * GIB, 8 * GIB, 24 * GIB, 64 * GIB])
def test_all_that_is_promised_fits_into_the_machine(memory):
    limits = limits_for(memory, on_card=False)
    assert limits.triangles * BYTES_PER_TRIANGLE <= memory * 0.75
    assert limits.job_texels * BYTES_PER_TEXEL <= memory * 0.75
    assert 0 < limits.job_memory < memory
    assert 300_000 < limits.triangles <= MOST_TRIANGLES
    assert limits.vertices <= DEFAULT_LIMITS.vertices


def test_no_machine_promises_more_triangles_than_a_run_takes(make_core):
    """The broker may not import the library, so that the figure stands twice."""
    assert MOST_TRIANGLES == MAX_TRIANGLES
    assert limits_for(1 << 40, on_card=True).triangles == MAX_TRIANGLES
    core = make_core()
    core.state.memory = 64 * GIB
    alice, job = core.user(), spec()
    count = MAX_TRIANGLES // 2 + 1
    faces = replace(job.meshes[0].faces, shape=(count, 3))
    mesh = replace(job.meshes[0], faces=faces, corner_uvs=replace(job.meshes[0].corner_uvs, shape=(count, 3, 2)))
    answer = alice.ask(Submit("2" * 32, replace(job, meshes=(mesh, mesh))))
    assert isinstance(answer, Error)
    assert answer.error.code is ErrorCode.PROTO_TOO_LARGE
    assert "2,000,002 triangles" in answer.error.text
    assert "2,000,000 at most" in answer.error.text


@pytest.mark.parametrize(("maps", "each"), [(("base_color",), BYTES_PER_TEXEL), (MAPS, BYTES_PER_LIT_TEXEL)])
def test_a_texel_costs_what_the_run_itself_plans(maps, each):
    """The broker may not import the library, so that the figure stands twice."""
    settings = with_maps(preset_settings("standard", OracleSpec()), OracleSpec(), maps)
    for side in (512, 2048, 8192):
        planned = texels_gb(with_overrides(settings, texture_size=side)) * 1e9
        assert each * side**2 == pytest.approx(planned, rel=0.01)
        assert each * side**2 >= planned


def test_on_a_card_texels_are_the_runs_own_business():
    assert (limits_for(8 * GIB, on_card=True).job_texels, limits_for(8 * GIB, on_card=True).job_memory) == (0, 0)


def test_a_container_has_what_it_may_have(tmp_path):
    limit, none = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text("1000000000\n")
    none.write_text("max\n")
    missing = str(tmp_path / "missing")
    assert machine_memory((missing, str(none))) == psutil.virtual_memory().total
    assert machine_memory((missing, str(limit))) == 1_000_000_000


def test_a_job_that_the_machine_cannot_do_is_refused_before_its_blobs_are_asked_for(make_core):
    core = make_core()
    core.state.memory = 8 * GIB
    alice = core.user()
    job = spec()
    mesh = job.meshes[0]
    count = 12_800_000
    large = replace(
        mesh,
        faces=replace(mesh.faces, shape=(count, 3)),
        corner_uvs=replace(mesh.corner_uvs, shape=(count, 3, 2)),
    )
    answer = alice.ask(Submit("1" * 32, replace(job, meshes=(large,))))
    assert isinstance(answer, Error)
    assert answer.error.code is ErrorCode.PROTO_TOO_LARGE
    assert "12,800,000 triangles" in answer.error.text
    welcome = alice.ask(Hello(((1, 1),), "test"))
    assert isinstance(welcome, Welcome)
    assert f"{welcome.limits.triangles:,} at most" in answer.error.text
    assert welcome.limits.job_memory > 0
