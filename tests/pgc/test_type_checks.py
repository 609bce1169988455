# SPDX-License-Identifier: Apache-2.0
"""The suite checks shapes and dtypes at run time; here is the proof that it does."""

import pytest
import torch
from jaxtyping import TypeCheckError

from pgc.gradient_regulation.pixelwise_clipping import clip_gradient_pixelwise


def test_wrong_shape_raises_under_the_import_hook():
    with pytest.raises(TypeCheckError):
        clip_gradient_pixelwise(torch.zeros(3), 0.1)


def test_right_shape_passes():
    assert clip_gradient_pixelwise(torch.zeros(1, 3, 2, 2), 0.1).shape == (1, 3, 2, 2)
