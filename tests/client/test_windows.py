# SPDX-License-Identifier: Apache-2.0
from blender_addon.client.windows import DownloadWindow, DownloadWindowConfig


def run(window, speed, seconds=3.0, chunk=64 << 10):
    now = 0.0
    while now < seconds:
        now += chunk / speed
        window.received(chunk, now)
    return window.size


def test_a_slow_line_gets_a_small_window_and_a_fast_one_a_large_one():
    config = DownloadWindowConfig()
    assert run(DownloadWindow(), speed=1e6) == config.smallest
    assert run(DownloadWindow(), speed=1e9) == config.largest


def test_between_the_bounds_a_window_takes_the_delay_to_cross_the_line():
    speed = 12.5e6
    assert abs(run(DownloadWindow(), speed) - speed * 0.08) < 0.1 * speed * 0.08


def test_a_pause_is_no_measure_of_the_line():
    window = DownloadWindow()
    before = run(window, speed=1e9)
    window.paused()
    window.received(1000, 1000.0)
    assert window.size == before
