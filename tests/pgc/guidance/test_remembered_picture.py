# SPDX-License-Identifier: Apache-2.0
"""A ControlNet's picture is embedded once, and comes out as ever."""

import torch
from torch import nn

from pgc.guidance.remembered_picture import RememberedPicture, remember_pictures


class CountedEmbedding(nn.Module):
    """Counts the pictures that it is given."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.rows = []

    def forward(self, picture):
        self.rows.append(len(picture))
        return self.convolution(picture)


def test_the_same_views_under_both_prompts_and_in_the_next_call_are_embedded_once():
    embedding = CountedEmbedding()
    remembered = RememberedPicture(embedding)
    views = torch.rand(2, 3, 8, 8)
    expected = embedding.convolution(views)
    for picture in (views.repeat(2, 1, 1, 1), views.clone(), views.repeat(2, 1, 1, 1)):
        torch.testing.assert_close(remembered(picture), expected.repeat(len(picture) // 2, 1, 1, 1))
    assert embedding.rows == [2]


def test_another_picture_is_embedded_anew_even_in_the_same_memory():
    embedding = CountedEmbedding()
    remembered = RememberedPicture(embedding)
    picture = torch.rand(3, 3, 8, 8)
    first = remembered(picture).clone()
    picture[0, 0, 0, 0] += 1.0
    torch.testing.assert_close(remembered(picture), embedding.convolution(picture))
    assert not torch.equal(remembered(picture), first)
    assert embedding.rows == [3, 3]
    remembered(picture[:1])
    assert embedding.rows == [3, 3, 1]


def test_a_gradient_on_the_picture_goes_through():
    embedding = CountedEmbedding()
    picture = torch.rand(2, 3, 8, 8, requires_grad=True)
    RememberedPicture(embedding)(picture).sum().backward()
    assert picture.grad is not None
    assert embedding.rows == [2]


def test_a_network_is_made_to_remember_once():
    network = nn.Module()
    network.controlnet_cond_embedding = CountedEmbedding()
    remember_pictures(network)
    remember_pictures(network)
    assert isinstance(network.controlnet_cond_embedding, RememberedPicture)
    assert isinstance(network.controlnet_cond_embedding.embedding, CountedEmbedding)
