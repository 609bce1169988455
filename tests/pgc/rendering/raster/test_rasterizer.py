# SPDX-License-Identifier: Apache-2.0
import pytest

from pgc.errors import ConfigError
from pgc.rendering.raster.rasterizer import RasterizerConfig


@pytest.mark.parametrize("values", [{"supersampling": 0}, {"supersampling": 9}, {"cache_bytes": -1}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        RasterizerConfig(**values)


def test_the_cache_holds_half_a_gibibyte_by_default():
    assert RasterizerConfig() == RasterizerConfig(supersampling=2, cache_bytes=2**29)
