# SPDX-License-Identifier: Apache-2.0
import pytest

from blender_addon.client.timing import Backoff, BackoffConfig, ClockWatch, Heartbeat, HeartbeatConfig, Now


def test_a_ping_goes_out_each_interval():
    beat = Heartbeat(HeartbeatConfig(interval=2.0, liveness=3), 10.0)
    assert [beat.ping_due(at) for at in (10.0, 11.9, 12.0, 12.1, 14.0)] == [False, False, True, False, True]


def test_silence_for_three_intervals_is_a_loss_and_any_sign_of_life_is_not():
    beat = Heartbeat(HeartbeatConfig(interval=2.0, liveness=3), 0.0)
    assert not beat.lost(5.9)
    beat.heard(5.9)
    assert not beat.lost(11.8)
    assert beat.lost(11.9)


def test_a_probe_pings_at_once_and_waits_one_interval():
    beat = Heartbeat(HeartbeatConfig(interval=2.0, liveness=3), 0.0)
    beat.probe(1000.0)
    assert beat.ping_due(1000.0)
    assert not beat.lost(1001.9)
    assert beat.lost(1002.0)


def test_waits_double_up_to_the_longest_and_start_anew_after_a_success():
    backoff = Backoff(BackoffConfig(first=0.25, longest=8.0), random=lambda: 1.0)
    assert [backoff.wait() for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    backoff.reset()
    assert backoff.wait() == 0.25


def test_jitter_takes_up_to_half_of_a_wait():
    assert Backoff(BackoffConfig(first=1.0), random=lambda: 0.0).wait() == 0.5


@pytest.mark.parametrize(
    ("mono", "wall", "missed"),
    [
        (1.0, 1.0, 0.0),
        # The monotonic clock stands still while a laptop sleeps.
        (1.0, 8 * 3600.0, 8 * 3600.0 - 1.0),
        # Elsewhere it runs on; and a stopped process is asleep too.
        (600.0, 600.0, 599.0),
        # Somebody turned the clock back.
        (1.0, -3600.0, 3601.0),
        (2.5, 2.4, 0.0),
    ],
)
def test_missed_time(mono, wall, missed):
    watch = ClockWatch(Now(0.0, 0.0))
    assert watch.gap(Now(mono, wall), expected=1.0) == pytest.approx(missed)
    # Told once.
    assert watch.gap(Now(mono + 1.0, wall + 1.0), expected=1.0) == 0.0
