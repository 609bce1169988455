# SPDX-License-Identifier: Apache-2.0
from pgc.rendering.raster.gbuffer_cache import GBufferCache


def test_the_least_recently_used_batch_goes_first(buffer):
    first, second, third = buffer(2), buffer(2), buffer(2)
    cache = GBufferCache(2 * first.nbytes)
    cache.put(["a", "b"], first)
    cache.put(["c", "d"], second)
    kept = cache.get("b")
    assert kept is not None
    assert kept.batch is first
    assert kept.index == 1
    cache.put(["e", "f"], third)
    assert cache.get("c") is None
    assert cache.get("d") is None
    assert cache.get("a") is not None, "its batch was used last"
    assert (len(cache), cache.nbytes) == (4, 2 * first.nbytes)


def test_a_key_means_the_newest_view_and_outlives_the_older_batch(buffer):
    small, large, other = buffer(1), buffer(1, height=4), buffer(1)
    cache = GBufferCache(small.nbytes + large.nbytes)
    cache.put(["a"], small)
    cache.put(["a"], large)
    assert (len(cache), cache.nbytes) == (1, small.nbytes + large.nbytes)
    cache.put(["b"], other)
    kept = cache.get("a")
    assert kept is not None
    assert kept.batch is large
    assert (len(cache), cache.nbytes) == (2, small.nbytes + large.nbytes)


def test_bytes_never_pass_the_limit(buffer):
    cache = GBufferCache(3 * buffer(1).nbytes)
    for number, views in enumerate((1, 2, 3, 1, 1, 2)):
        cache.put([f"{number}.{view}" for view in range(views)], buffer(views))
        assert cache.nbytes == len(cache) * buffer(1).nbytes <= 3 * buffer(1).nbytes


def test_a_batch_larger_than_the_cache_is_not_kept_and_drops_nothing(buffer):
    small, large = buffer(1), buffer(1, height=20)
    cache = GBufferCache(small.nbytes)
    cache.put(["a"], small)
    cache.put(["b"], large)
    assert cache.get("b") is None
    kept = cache.get("a")
    assert kept is not None
    assert kept.batch is small
