# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its regulation, and from a regulation's name to its configuration."""

from __future__ import annotations

from typing import Literal, assert_never, get_args

from pgc.gradient_regulation.adaptive_clipping import AdaptiveClipping, AdaptiveClippingConfig
from pgc.gradient_regulation.base import GradientRegulation
from pgc.gradient_regulation.official_variants import OfficialVariantConfig, OfficialVariantRegulation
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClipping, PixelwiseClippingConfig
from pgc.gradient_regulation.pixelwise_normalization import PixelwiseNormalization, PixelwiseNormalizationConfig
from pgc.gradient_regulation.unregulated import Unregulated, UnregulatedConfig
from pgc.gradient_regulation.valuewise_clipping import ValuewiseClipping, ValuewiseClippingConfig

__all__ = ["REGULATIONS", "RegulationConfig", "RegulationName", "build_regulation", "regulation_named"]

RegulationConfig = (
    PixelwiseClippingConfig
    | ValuewiseClippingConfig
    | PixelwiseNormalizationConfig
    | AdaptiveClippingConfig
    | OfficialVariantConfig
    | UnregulatedConfig
)
RegulationName = Literal["pgc", "pgc-v", "pngd", "adaptive", "global", "sigmoid", "soft", "none"]
REGULATIONS: tuple[RegulationName, ...] = get_args(RegulationName)


def build_regulation(config: RegulationConfig) -> GradientRegulation:
    """Builds the regulation that a configuration describes."""
    match config:
        case PixelwiseClippingConfig():
            return PixelwiseClipping(config)
        case ValuewiseClippingConfig():
            return ValuewiseClipping(config)
        case PixelwiseNormalizationConfig():
            return PixelwiseNormalization(config)
        case AdaptiveClippingConfig():
            return AdaptiveClipping(config)
        case OfficialVariantConfig():
            return OfficialVariantRegulation(config)
        case UnregulatedConfig():
            return Unregulated(config)


def regulation_named(name: RegulationName) -> RegulationConfig:
    """Returns the regulation of this name with its own defaults."""
    match name:
        case "pgc":
            return PixelwiseClippingConfig()
        case "pgc-v":
            return ValuewiseClippingConfig()
        case "pngd":
            return PixelwiseNormalizationConfig()
        case "adaptive":
            return AdaptiveClippingConfig()
        case "global" | "sigmoid" | "soft":
            return OfficialVariantConfig(variant=name)
        case "none":
            return UnregulatedConfig()
        case _:
            assert_never(name)
