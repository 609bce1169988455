# SPDX-License-Identifier: Apache-2.0
"""Masks by rays: what a mesh hides from the sky, and what has its other side close behind it."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_hidden.py"


def test_hidden_and_thin_places_are_found_by_rays(run_in_blender):
    found = run_in_blender("hidden_places", script=PROBE)
    assert "is hidden from the sky" in found["outside"], "a box hides nothing of its outside"
    brightest, share = found["inside"]
    assert brightest == 1.0
    assert 0.3 < share < 0.5, "the six faces of Blender's cube cover 3/8 of its UVs"
    assert found["same"] == [True, True]
    assert found["again"]
    flat, sides = found["slab"]
    assert 0.08 < flat < 0.16, "the top and the bottom, 2/6 of the faces, as the formula says"
    assert sides > 0.15, "rays from the sides meet the top or the bottom soon"
    assert "is thin" in found["plane"][0]
    assert "is hidden from the sky" in found["plane"][1]


def test_shares_agree_with_many_rays_of_blenders_own(run_in_blender):
    pairs = run_in_blender("against_rays", script=PROBE)
    assert len(pairs) >= 18
    assert max(abs(fast - slow) for fast, slow in pairs) <= 0.12
    assert sum(abs(fast - slow) for fast, slow in pairs) / len(pairs) <= 0.03
    assert max(slow for _, slow in pairs) > 0.3


def test_of_many_places_those_that_are_alike_share_their_rays(run_in_blender):
    found = run_in_blender("many_places", script=PROBE)
    assert found["places"] <= 6000
    assert found["distance"] <= 0.1, "of a ball of 2"
    assert found["looks"] > 0.9
    assert found["scattered"] <= 6000
    assert found["few"] == [True, True]
