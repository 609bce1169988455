# SPDX-License-Identifier: Apache-2.0
"""How a model comes from the hub, after somebody has agreed: no more of it than is needed, and only safetensors."""

# HTTPError is whatever the hub library raises with its HTTP client of the day.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from pgc.errors import GuidanceError
from pgc.guidance.sources import HUB_ID, ModelParts, problem_of

__all__ = ["UnusableModelError", "fetch"]

_EXAMPLE = "stabilityai/stable-diffusion-xl-base-1.0"


class UnusableModelError(GuidanceError):
    """What was downloaded lacks a part, or has it in no format that is read."""


def fetch(source: str, parts: ModelParts, *, half: bool, cache_dir: Path | None = None) -> Path:
    """Downloads a model from the hub, no more than `parts` needs; the person has agreed to that.

    Args:
        source: a hub id.
        half: prefer weights stored as fp16, half the download.
        cache_dir: huggingface_hub's cache, by default its own choice (HF_HUB_CACHE).

    Raises:
        GuidanceError: no hub id, refused by the hub, out of reach, or without safetensors.
    """
    if not HUB_ID.fullmatch(source):
        raise GuidanceError(f"{source} is no hub id; expected owner/name, such as {_EXAMPLE}.")
    folder = _download(source, _patterns(parts, half=half), cache_dir)
    if half and problem_of(folder, parts) is not None:
        # Some models are published in full precision only.
        folder = _download(source, _patterns(parts, half=False), cache_dir)
    problem = problem_of(folder, parts)
    if problem is not None:
        raise UnusableModelError(f"{source} is no usable model: {problem}")
    return folder


def _patterns(parts: ModelParts, *, half: bool) -> list[str]:
    prefixes = [f"{name}/" if name else "" for name in parts.weights]
    patterns = ["model_index.json", *(f"{prefix}config.json" for prefix in prefixes)]
    for name in parts.settings:
        patterns += [f"{name}/*.json", f"{name}/*.txt"]
    for prefix in prefixes:
        for stem in ("diffusion_pytorch_model", "model"):
            middle = ".fp16" if half else ""
            patterns += [f"{prefix}{stem}{middle}.safetensors", f"{prefix}{stem}{middle}-*-of-*.safetensors"]
            patterns += [f"{prefix}{stem}.safetensors.index{middle}.json"]
    return patterns


def _download(source: str, patterns: Sequence[str], cache_dir: Path | None) -> Path:
    try:
        return Path(snapshot_download(source, cache_dir=cache_dir, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise GuidanceError(
            f"The hub refuses {source}: its licence must be accepted first. Accept it at "
            f"https://huggingface.co/{source}, run: hf auth login, then pull it again."
        ) from error
    except RepositoryNotFoundError as error:
        raise GuidanceError(
            f"The hub has no model {source}, or it is private. Check the spelling, run hf auth login if it is private, "
            "or give a folder or a .safetensors file with --guidance PATH."
        ) from error
    except LocalEntryNotFoundError as error:
        raise GuidanceError(
            f"{source} is not complete on this machine, and the hub is out of reach; pull it again with a network, or "
            "give a folder or a .safetensors file with --guidance PATH."
        ) from error
    except (HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise GuidanceError(
            f"{source} could not be downloaded ({reason[0] if reason else type(error).__name__}); pull it again, or "
            "give a folder or a .safetensors file with --guidance PATH."
        ) from error
