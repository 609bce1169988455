# SPDX-License-Identifier: Apache-2.0
from pgc.rendering.gbuffer_cache import GBufferCache


def test_the_least_recently_used_view_goes_first(buffer):
    view = buffer(1)
    cache = GBufferCache(2 * view.nbytes)
    cache.put("a", view)
    cache.put("b", view)
    assert cache.get("a") is view
    cache.put("c", view)
    assert cache.get("b") is None
    assert cache.get("a") is view
    assert cache.get("c") is view
    assert cache.nbytes == 2 * view.nbytes


def test_bytes_follow_replacement_and_eviction(buffer):
    small, large = buffer(1), buffer(1, height=4)
    cache = GBufferCache(3 * small.nbytes)
    cache.put("a", small)
    cache.put("a", large)
    assert (len(cache), cache.nbytes) == (1, large.nbytes)
    cache.put("b", large)
    assert (len(cache), cache.nbytes) == (1, large.nbytes)
    assert cache.get("a") is None


def test_a_view_larger_than_the_cache_is_not_kept_and_drops_nothing(buffer):
    small, large = buffer(1), buffer(1, height=20)
    cache = GBufferCache(small.nbytes)
    cache.put("a", small)
    cache.put("b", large)
    assert cache.get("b") is None
    assert cache.get("a") is small
