# SPDX-License-Identifier: Apache-2.0
from blender_addon.client.transfer.windows import Window, WindowConfig


def run(window, speed, seconds=3.0, chunk=64 << 10):
    now = 0.0
    while now < seconds:
        now += chunk / speed
        window.received(chunk, now)
    return window.size


def on_a_long_line(window, speed, delay, seconds=20.0, chunk=64 << 10):
    """A full window is sent and answered, then the next one: what a window allows on a line with a delay."""
    now = 0.0
    while now < seconds:
        under_way = max(1, window.size // chunk)
        begun = now
        for number in range(1, under_way + 1):
            now = begun + delay + number * chunk / speed
            window.received(chunk, now, now - begun)
    return window.size


def test_a_slow_line_gets_a_small_window_and_a_fast_one_a_large_one():
    config = WindowConfig()
    assert run(Window(), speed=1e6) == config.smallest
    assert run(Window(), speed=1e9) == config.largest


def test_between_the_bounds_a_window_takes_the_delay_to_cross_the_line():
    speed = 12.5e6
    assert abs(run(Window(), speed) - speed * 0.08) < 0.1 * speed * 0.08


def test_a_pause_is_no_measure_of_the_line():
    window = Window()
    before = run(window, speed=1e9)
    window.paused()
    window.received(1000, 1000.0)
    assert window.size == before


def test_a_long_line_is_filled_as_a_short_one():
    speed, delay = 50e6, 0.2
    assert on_a_long_line(Window(), speed, delay) > 0.8 * speed * delay


def test_more_under_way_than_the_line_holds_only_waits():
    assert on_a_long_line(Window(), speed=5e6, delay=0.02) < 5e6 * 0.2
