# SPDX-License-Identifier: Apache-2.0
"""A slice of `tests/benchmarks/fuzz_images.py`, and that its judge and its limits see what they are for."""

import multiprocessing
import struct

import pytest

import tests.pgc.fuzzing.image_judge as judging
from pgc.errors import TextureError
from tests.benchmarks.fuzz_images import Outcome, _follow, run
from tests.pgc.fuzzing.image_judge import judge_image
from tests.pgc.fuzzing.image_mutations import ImageMutator


@pytest.mark.slow
def test_damaged_images_give_pixels_or_one_sentence():
    outcome = run(700, 20)
    assert outcome.failures == []
    assert outcome.deaths == 0
    assert outcome.answers["read"] > 70
    assert outcome.answers["refused"] > 70
    assert {name.split()[0] for name in outcome.by_suffix} >= {"png", "jpg", "tif", "exr", "hdr", "webp", "bmp", "tga"}


def test_the_same_number_is_the_same_case():
    assert ImageMutator(5).case(77) == ImageMutator(5).case(77)
    assert ImageMutator(5).case(77) != ImageMutator(5).case(78)
    assert ImageMutator(5).case(77) != ImageMutator(6).case(77)


@pytest.mark.parametrize("message", ["no name in it", "a.png\nand more", "a.png" + "x" * 1000])
def test_the_judge_wants_one_line_that_names_the_file(tmp_path, monkeypatch, message):
    def refuse(path):
        raise TextureError(message)

    monkeypatch.setattr(judging, "read_source_image", refuse)
    with pytest.raises(AssertionError):
        judge_image(tmp_path / "a.png")


def test_the_judge_lets_other_errors_through(tmp_path, monkeypatch):
    def crash(path):
        raise struct.error("unpack requires more")

    monkeypatch.setattr(judging, "read_source_image", crash)
    with pytest.raises(struct.error):
        judge_image(tmp_path / "a.png")


def told(*messages):
    """What the follower makes of a child's words, and whether it killed it."""
    ours, theirs = multiprocessing.Pipe()
    for message in messages:
        theirs.send(message)
    theirs.close()

    class Child:
        exitcode = -11

        def join(self):
            pass

        def kill(self):
            pass

    outcome = Outcome()
    return _follow(ours, Child(), 0, outcome), outcome


def test_a_death_counts_against_the_case_that_was_begun_and_the_next_goes_on():
    number, outcome = told(("begin", 4, "png", 0.0, 0), ("read", 4, "png", 0.1, 9), ("begin", 5, "png", 0.0, 0))
    assert number == 6
    assert outcome.failures == [{"case": 5, "what": "the process ended with code -11"}]
    assert outcome.peak_growth == 9


def test_two_seconds_are_too_long():
    _, outcome = told(("begin", 0, "png", 0.0, 0), ("refused", 0, "png", 2.5, 0), ("end", 1, "", 0.0, 0))
    assert [failure["case"] for failure in outcome.failures] == [0]


@pytest.mark.parametrize("words", ["std::bad_alloc", "MemoryError: Unable to allocate 3 GiB"])
def test_a_refusal_for_want_of_memory_is_none(tmp_path, monkeypatch, words):
    def refuse(path):
        raise TextureError(f"{path} is damaged ({words}).")

    monkeypatch.setattr(judging, "read_source_image", refuse)
    with pytest.raises(AssertionError):
        judge_image(tmp_path / "a.png")
