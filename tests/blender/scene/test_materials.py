# SPDX-License-Identifier: Apache-2.0
"""Everything streams: all maps of a real server appear in the Principled material, live and at the end."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
SOCKETS = {"Base Color": False, "Roughness": True, "Metallic": True, "Normal": True}
"""Sockets of the shader, and whether their picture is data."""


def test_all_maps_appear_live_and_in_the_version(run_in_blender, connection):
    found = run_in_blender("generate", script="probe_materials.py", connection=str(connection))
    assert found["state"] == "done", found
    # Shapes are offered too, and UVs where the server has xatlas; they are no rows of the panel's maps.
    maps = [name for name in found["offered"] if name not in ("corner_uvs", "shape")]
    assert set(maps) == {"base_color", "metallic", "normal", "occlusion", "roughness"}
    assert found["versions"] == [maps]
    live, final = found["live"], found["final"]
    assert set(live) == set(SOCKETS)
    assert set(final) == {*SOCKETS, "Occlusion"}
    for name, is_data in SOCKETS.items():
        assert final[name]["data"] == is_data, name
        assert final[name]["size"] == [256, 256]
        assert live[name]["way"] == final[name]["way"], name
        assert final[name]["way"] == (["ShaderNodeNormalMap"] if name == "Normal" else [])
    assert final["Occlusion"]["data"]
    # A relief around the flat normal; nothing is in the way of a plane.
    assert final["Normal"]["mean"][2] > 0.9
    assert final["Occlusion"]["mean"] == [1.0, 1.0, 1.0]
    # The run has moved every map from its start.
    assert all(final[name]["spread"] > 0.003 for name in SOCKETS), final
