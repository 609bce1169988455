# SPDX-License-Identifier: Apache-2.0
"""What a rasteriser keeps on which device."""

from __future__ import annotations

from typing import Any

import torch

from pgc.rendering.raster import choice
from pgc.rendering.raster.choice import build_rasterizer, rasterizer_config
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer


def test_a_card_keeps_the_views_of_previews_and_none_of_a_step() -> None:
    card, cpu = (rasterizer_config(torch.device(kind)).cache_bytes for kind in ("cuda", "cpu"))
    of_a_pixel = 89
    assert 6 * 256**2 * of_a_pixel <= card < 1024**2 * of_a_pixel
    assert cpu == RasterizerConfig().cache_bytes


def test_a_run_gets_what_suits_its_device_unless_it_says_otherwise(primitive, monkeypatch) -> None:
    given: list[RasterizerConfig] = []
    monkeypatch.setattr(choice, "is_nvdiffrast_installed", lambda: False)

    def take(self: WarpRasterizer, triangles: Any, *, device: torch.device, config: RasterizerConfig) -> None:
        given.append(config)

    monkeypatch.setattr(WarpRasterizer, "__init__", take)
    card, own = torch.device("cuda", 0), RasterizerConfig(cache_bytes=7)
    for config in (None, own):
        build_rasterizer(primitive("box"), device=card, config=config)
    assert given == [rasterizer_config(card), own]
