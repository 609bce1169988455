# SPDX-License-Identifier: Apache-2.0
"""The suite checks shapes and dtypes at run time; here is the proof that it does, and is sparing only where it may."""

import re
from dataclasses import dataclass
from pathlib import Path

import beartype
import numpy as np
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

import pgc
from pgc.gradient_regulation.pixelwise_clipping import clip_gradient_pixelwise
from tests import type_checks


def test_wrong_shape_raises_under_the_import_hook():
    with pytest.raises(TypeCheckError):
        clip_gradient_pixelwise(torch.zeros(3), 0.1)


def test_right_shape_passes():
    assert clip_gradient_pixelwise(torch.zeros(1, 3, 2, 2), 0.1).shape == (1, 3, 2, 2)


def test_wrong_shape_raises_after_a_right_one_and_again():
    clip_gradient_pixelwise(torch.zeros(1, 3, 2, 2), 0.1)
    for _ in range(2):
        with pytest.raises(TypeCheckError):
            clip_gradient_pixelwise(torch.zeros(3, 2, 2), 0.1)


def checked(target, looked=None):
    """The function as the import hook leaves it; each check of arguments or of a result is noted."""

    def beartyped(function):
        inner = beartype.beartype(function)

        def noted(*args, **named):
            if looked is not None:
                looked.append(function.__name__)
            return inner(*args, **named)

        return noted

    return type_checks._sparing(target, typechecker=beartyped)


def test_the_same_kind_is_looked_at_once_a_test():
    looked = []

    def total(values: Float[Tensor, "n"], scale: float = 1.0) -> Float[Tensor, ""]:
        return values.sum() * scale

    function = checked(total, looked)
    for _ in range(3):
        assert function(torch.ones(4), scale=2.0) == 8.0
    assert len(looked) == 2, "arguments, then the result"
    function(torch.ones(5), scale=2.0)
    assert len(looked) == 4
    type_checks.forget()
    function(torch.ones(5), scale=3.0)
    assert len(looked) == 6


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (torch.ones(4), torch.ones(4, dtype=torch.int64)),
        (torch.ones(4), torch.ones(4, 1)),
        (torch.ones(4), np.ones(4, np.float32)),
        (torch.ones(4), None),
    ],
)
def test_another_kind_of_argument_is_looked_at(good, bad):
    def same(values: Float[Tensor, "n"]) -> Tensor:
        return values

    function = checked(same)
    function(good)
    with pytest.raises(TypeCheckError, match="parameters"):
        function(bad)


@pytest.mark.parametrize("wrong", [torch.ones(3), torch.ones(2, dtype=torch.int64), [torch.ones(2)], None])
def test_another_kind_of_result_for_the_same_arguments_is_looked_at(wrong):
    results = [torch.ones(2), torch.zeros(2), wrong]

    def next_one(values: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        return results.pop(0)

    function = checked(next_one)
    function(torch.ones(2))
    function(torch.ones(2))
    with pytest.raises(TypeCheckError, match="return value"):
        function(torch.ones(2))
    assert results == [], "it was called once each"


def test_sizes_and_words_are_told_apart_by_their_value():
    def ones(size: int) -> Float[Tensor, "{size}"]:
        return torch.ones(2)

    function = checked(ones)
    function(2)
    with pytest.raises(TypeCheckError):
        function(3)


def test_items_are_looked_at_one_by_one_and_what_holds_others_always():
    def first(values: tuple[int, ...] | dict[str, int]) -> int:
        return 1

    function = checked(first)
    function((1, 2))
    function({"a": 1})
    for bad in (("a", "b"), {"a": "b"}):
        with pytest.raises(TypeCheckError):
            function(bad)


def test_dataclasses_methods_and_properties_are_checked():
    @dataclass
    class Pair:
        left: int
        right: int

        @property
        def total(self) -> int:
            return "three"  # type: ignore[return-value]

        @classmethod
        def of(cls, value: int) -> "Pair":
            return cls(value, value)

        @staticmethod
        def half(value: int) -> int:
            return value // 2

    for name in ("total", "of", "half"):
        setattr(Pair, name, checked(vars(Pair)[name]))
    pair_type = checked(Pair)
    assert pair_type is Pair
    assert Pair.half(4) == 2
    pair = Pair.of(3)
    for wrong in (lambda: Pair("a", 2), lambda: Pair.of("a"), lambda: Pair.half("a"), lambda: pair.total):
        with pytest.raises(TypeCheckError):
            wrong()


def test_shapes_of_a_value_name_an_argument():
    """A kind has the values of arguments, and not of what belongs to them."""
    root = Path(pgc.__file__).parent
    sources = [path.read_text() for path in root.rglob("*.py")]
    braces = [found for source in sources for found in re.findall(r'\[\w+, "[^"\n]*\{(.*?)\}', source)]
    assert braces
    assert [inside for inside in braces if not inside.isidentifier()] == []
