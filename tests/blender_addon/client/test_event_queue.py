# SPDX-License-Identifier: Apache-2.0
import threading
import time

import numpy as np

from blender_addon.client.event_queue import EventQueue
from blender_addon.client.events import Disconnected, JobNotice, JobPreview, JobProgress, Uploading


def preview(step, job="a", tile=1001):
    return JobPreview(job, step, step, "base_color", tile, np.zeros((2, 2, 3), np.uint8), cost=12)


def test_events_come_in_order():
    queue = EventQueue()
    events = [Disconnected(str(n), 0.0) for n in range(5)]
    for event in events:
        queue.put(event)
    assert queue.drain() == events
    assert queue.get() is None


def test_only_the_newest_preview_and_progress_are_kept_and_nothing_else_is_dropped():
    queue = EventQueue()
    for step in range(1000):
        queue.put(preview(step))
        queue.put(preview(step, tile=1002))
        queue.put(JobProgress("a", step, 1000))
        queue.put(JobProgress("b", step, 1000))
        queue.put(Uploading("k", step, 1000))
        queue.put(JobNotice("a", str(step)))
    assert len(queue) == 1000 + 5
    taken = queue.drain(most=5000)
    assert [event.text for event in taken if isinstance(event, JobNotice)] == [str(step) for step in range(1000)]
    assert {event.step for event in taken if isinstance(event, JobPreview | JobProgress)} == {999}


def test_credit_comes_back_for_every_preview_that_was_taken_or_replaced():
    returned = []
    queue = EventQueue(returned.append)
    for step in range(3):
        queue.put(preview(step))
    assert returned == [12, 12]
    queue.get()
    assert returned == [12, 12, 12]


def test_a_waiting_owner_is_woken():
    queue = EventQueue()
    timer = threading.Timer(0.05, queue.put, [JobNotice("a", "now")])
    timer.start()
    start = time.monotonic()
    assert queue.get(timeout=5.0) == JobNotice("a", "now")
    assert time.monotonic() - start < 4.0
    timer.join()


def test_waiting_ends_in_time():
    start = time.monotonic()
    assert EventQueue().get(timeout=0.05) is None
    assert time.monotonic() - start < 2.0


def test_drain_takes_no_more_than_it_may():
    queue = EventQueue()
    for n in range(10):
        queue.put(JobNotice("a", str(n)))
    assert len(queue.drain(most=4)) == 4
    assert len(queue) == 6
