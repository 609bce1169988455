# SPDX-License-Identifier: Apache-2.0
"""The judge: a small network that names the colour and the material of a picture of an object.

It has learnt from ground-truth procedural renders alone (`pgc.evaluation.judge.training`), never from distilled
textures, so that what it says about those is a measurement and not a fit.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

from pgc.errors import ConfigError
from pgc.evaluation.measures.statistics import majority
from pgc.pocket.data.materials import COLORS, MATERIALS
from pgc.whole_files import write_tensors

__all__ = ["INPUT_SIZE", "JUDGE_FILE", "Judge", "JudgeNetwork", "Verdict", "judge_input", "load_judge", "save_judge"]

INPUT_SIZE = 96
JUDGE_FILE = Path(__file__).parents[1] / "data" / "judge.safetensors"
_FORMAT = "pgc-judge-1"
_BACKDROP = 0.5


def judge_input(
    image: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"], size: int = INPUT_SIZE
) -> Float[Tensor, "b 4 size size"]:
    """Makes what the judge sees: the object alone, cut out square, on mid-gray, with its mask as a fourth channel.

    The rim (one pixel) is left out, since it mixes with whatever background the picture had.

    Args:
        image: sRGB in [0, 1].
        mask: where the object is.
        size: side of the result, in pixels.

    Raises:
        ConfigError: an image shows no object.
    """
    inner = max_pool2d((~mask).float(), kernel_size=3, stride=1, padding=1) == 0
    rows = []
    for picture, inside in zip(image, inner, strict=True):
        at = inside[0].nonzero()
        if not len(at):
            raise ConfigError("The judge was given a picture without an object; check the mask.")
        top, left = (int(v) for v in at.amin(dim=0))
        bottom, right = (int(v) + 1 for v in at.amax(dim=0))
        side = max(bottom - top, right - left)
        square = image.new_zeros(4, side, side)
        y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
        window = (slice(None), slice(y, y + bottom - top), slice(x, x + right - left))
        # Premultiplied by the mask, so that resizing does not mix the outside in.
        cut = torch.cat([picture, torch.ones_like(picture[:1])]) * inside
        square[window] = cut[:, top:bottom, left:right]
        rows.append(interpolate(square[None], (size, size), mode="bilinear", antialias=True, align_corners=False))
    stacked = torch.cat(rows)
    alpha = stacked[:, 3:].clamp(0.0, 1.0)
    return torch.cat([(stacked[:, :3] + (1.0 - alpha) * _BACKDROP).clamp(0.0, 1.0), alpha], dim=1)


class _Stage(nn.Module):
    """Half the size, then one residual convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.down_norm = nn.BatchNorm2d(outputs)
        self.same = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.same_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k m n"]:
        """Halves the picture's size and adds a convolution of the result to it."""
        x = relu(self.down_norm(self.down(x)))
        return relu(x + self.same_norm(self.same(x)))


class JudgeNetwork(nn.Module):
    """Four stages of 24, 48, 96 and 128 channels, mean and maximum over the picture, one linear head a question."""

    def __init__(self, colors: int = len(COLORS), materials: int = len(MATERIALS)) -> None:
        super().__init__()
        widths = (4, 24, 48, 96, 128)
        self.stages = nn.Sequential(*[_Stage(a, b) for a, b in itertools.pairwise(widths)])
        self.color = nn.Linear(2 * widths[-1], colors)
        self.material = nn.Linear(2 * widths[-1], materials)

    def forward(self, x: Float[Tensor, "b 4 h w"]) -> tuple[Float[Tensor, "b colors"], Float[Tensor, "b materials"]]:
        """Returns the logits of the colour and of the material."""
        features = self.stages(x * 2.0 - 1.0)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return self.color(pooled), self.material(pooled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge says about one object, by majority over its pictures."""

    color: str
    material: str
    view_colors: tuple[str, ...]
    view_materials: tuple[str, ...]
    color_confidence: float
    """Mean probability over the pictures of the colour that won."""
    material_confidence: float


class Judge:
    """A trained network with the names of its answers."""

    def __init__(self, network: JudgeNetwork, colors: Sequence[str], materials: Sequence[str]) -> None:
        self.network = network.eval()
        self.colors = tuple(colors)
        self.materials = tuple(materials)

    @torch.no_grad()
    def probabilities(
        self, inputs: Float[Tensor, "b 4 h w"]
    ) -> tuple[Float[Tensor, "b colors"], Float[Tensor, "b materials"]]:
        """Returns the softmax of both heads."""
        color, material = self.network(inputs)
        return color.softmax(dim=1), material.softmax(dim=1)

    def verdict(self, image: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"]) -> Verdict:
        """Gives one answer for all pictures of one object; sRGB in [0, 1]. Ties go to the more probable name."""
        color, material = self.probabilities(judge_input(image, mask))
        name, color_votes, color_share = _vote(color, self.colors)
        kind, material_votes, material_share = _vote(material, self.materials)
        return Verdict(
            color=name,
            material=kind,
            view_colors=color_votes,
            view_materials=material_votes,
            color_confidence=color_share,
            material_confidence=material_share,
        )


def _vote(probabilities: Float[Tensor, "b answers"], names: Sequence[str]) -> tuple[str, tuple[str, ...], float]:
    """The winner, each picture's own answer, and the winner's mean probability."""
    answers = tuple(names[int(index)] for index in probabilities.argmax(dim=1))
    winner = majority(answers, probabilities.amax(dim=1).tolist())
    return winner, answers, float(probabilities[:, names.index(winner)].mean())


def save_judge(path: Path, network: JudgeNetwork, notes: dict[str, object]) -> None:
    """Writes the weights in half precision, with the answers' names and `notes` (how it was trained) in the header."""
    tensors = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in network.state_dict().items()
    }
    header = {"colors": list(COLORS), "materials": list(MATERIALS), "training": notes}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, metadata={"format": _FORMAT, "judge": json.dumps(header, sort_keys=True)})


def load_judge(path: Path = JUDGE_FILE) -> Judge:
    """Loads the committed judge, or another one.

    Raises:
        ConfigError: the file is missing or is no judge.
    """
    if not path.is_file():
        raise ConfigError(f"There is no judge at {path}; train one with `pgc eval train-judge`.")
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    if metadata.get("format") != _FORMAT:
        raise ConfigError(f"{path} says it is {metadata.get('format')!r}, expected {_FORMAT!r}; train a new judge.")
    header = json.loads(metadata["judge"])
    network = JudgeNetwork(len(header["colors"]), len(header["materials"]))
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return Judge(network, header["colors"], header["materials"])
