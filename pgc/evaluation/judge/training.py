# SPDX-License-Identifier: Apache-2.0
"""Training of the judge: `pgc eval train-judge`. One CPU thread, about a quarter of an hour, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pgc.errors import ConfigError
from pgc.evaluation.judge.augment import augment
from pgc.evaluation.judge.data import ExampleSet, material_examples, render_examples, trace_views
from pgc.evaluation.judge.judge import Judge, JudgeNetwork, save_judge
from pgc.evaluation.measures.statistics import Proportion, proportion
from pgc.evaluation.meshes import judge_meshes
from pgc.mesh import Mesh, prepare_mesh
from pgc.pocket.data.materials import COLORS, MATERIALS
from pgc.randomness import generator_for
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["JudgeTrainingConfig", "build_examples", "held_out_accuracy", "train_and_save", "train_judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeTrainingConfig:
    """Everything that decides the judge's weights."""

    steps: int = 1400
    batch: int = 48
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    seed: int = 20261121
    meshes: int = 28
    """Own meshes for training; as many again over 4 are held out."""
    views: int = 8
    """Traced views a mesh."""
    trace_size: int = 192
    mesh_pictures: int = 7920
    """Pictures of own meshes: a multiple of 132 has every colour with every material equally often."""
    render_pictures: int = 5280
    """Pictures of the pocket prior's data generator."""
    held_out_pictures: int = 1056
    """Of each of the two kinds, on meshes, shapes and materials that training does not see."""
    render_seed: int = 90001
    """Another seed than the prior's own data set (7)."""
    save_every: int = 100

    def __post_init__(self) -> None:
        counts = {"steps": self.steps, "batch": self.batch, "meshes": self.meshes, "views": self.views}
        for name, value in counts.items():
            if value < 1:
                raise ConfigError(f"The judge's {name} is {value}; it must be 1 or more.")


def build_examples(
    config: JudgeTrainingConfig, folder: Path, report: Callable[[str], None]
) -> tuple[ExampleSet, dict[str, ExampleSet]]:
    """Makes the training set, and the held-out sets by kind ("meshes", "renders"). Parts found in `folder` are not made
    again; the folder must be used with one configuration only."""
    seed = config.seed
    renders = _kept(folder / "renders.safetensors", lambda: render_examples(
        0, config.render_pictures, config.render_seed, report
    ))  # fmt: skip
    held_renders = _kept(folder / "held-out-renders.safetensors", lambda: render_examples(
        1_000_000, config.held_out_pictures, config.render_seed, report
    ))  # fmt: skip
    seen, unseen = _split(judge_meshes(config.meshes + math.ceil(config.meshes / 4), seed), config.meshes)
    meshes = _kept(folder / "meshes.safetensors", lambda: _mesh_examples(
        seen, config, config.mesh_pictures, seed + 3, report
    ))  # fmt: skip
    held_meshes = _kept(folder / "held-out-meshes.safetensors", lambda: _mesh_examples(
        unseen, config, config.held_out_pictures, seed + 2, report
    ))  # fmt: skip
    return ExampleSet.cat([meshes, renders]), {"meshes": held_meshes, "renders": held_renders}


def _split(meshes: list[Mesh], count: int) -> tuple[list[Mesh], list[Mesh]]:
    return meshes[:count], meshes[count:]


def _mesh_examples(
    meshes: list[Mesh], config: JudgeTrainingConfig, count: int, seed: int, report: Callable[[str], None]
) -> ExampleSet:
    triangles = [prepare_mesh(mesh).triangles for mesh in meshes]
    bank = trace_views(triangles, config.views, config.trace_size, seed, report)
    return material_examples(bank, count, seed, report)


def _kept(path: Path, make: Callable[[], ExampleSet]) -> ExampleSet:
    """The set in the file, or a new one that is then in the file."""
    if not path.is_file():
        examples = make()
        tensors = {"inputs": examples.inputs, "colors": examples.colors, "materials": examples.materials}
        save_checkpoint(path, tensors, {})
    tensors, _ = load_checkpoint(path)
    return ExampleSet(inputs=tensors["inputs"], colors=tensors["colors"], materials=tensors["materials"])


def train_judge(
    config: JudgeTrainingConfig, examples: ExampleSet, checkpoint: Path, report: Callable[[str], None]
) -> JudgeNetwork:
    """Trains, or goes on where `checkpoint` stopped. Adam, warm-up then cosine; cross-entropy of both heads.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration, or is damaged.
    """
    torch.manual_seed(config.seed)
    network = JudgeNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = _resume(checkpoint, config, network, optimizer) if checkpoint.is_file() else 0
    loss_of = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    network.train()
    running = 0.0
    while step < config.steps:
        generator = generator_for(config.seed, step, "judge")
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config.steps)
        rows = torch.randint(len(examples.colors), (config.batch,), generator=generator)
        inputs = augment(examples.inputs[rows].float() / 255.0, generator)
        color, material = network(inputs)
        loss = loss_of(color, examples.colors[rows]) + loss_of(material, examples.materials[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        running = float(loss.detach()) if running == 0.0 else 0.98 * running + 0.02 * float(loss.detach())
        if step % config.save_every == 0 or step == config.steps:
            _save(checkpoint, config, network, optimizer, step)
            report(f"step {step} of {config.steps}, loss {running:.3f}")
    return network.eval()


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / 100)
    return warm * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / steps)))


def _save(
    path: Path, config: JudgeTrainingConfig, network: JudgeNetwork, optimizer: torch.optim.Optimizer, step: int
) -> None:
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    save_checkpoint(path, tensors, {"step": step, "config": asdict(config)})


def _resume(path: Path, config: JudgeTrainingConfig, network: JudgeNetwork, optimizer: torch.optim.Optimizer) -> int:
    tensors, header = load_checkpoint(path)
    if header["config"] != asdict(config):
        raise ConfigError(f"{path} was written with other settings; delete it to train anew.")
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(header["step"])


def held_out_accuracy(judge: Judge, examples: ExampleSet, *, augmented: bool, seed: int = 0) -> dict[str, Proportion]:
    """Measures the accuracy on single pictures (no vote), of "color" and "material"; clean or with the training's
    augmentation."""
    colors, materials = [], []
    for first in range(0, len(examples.colors), 96):
        rows = slice(first, first + 96)
        inputs: Float[Tensor, "b 4 s s"] = examples.inputs[rows].float() / 255.0
        if augmented:
            inputs = augment(inputs, generator_for(seed, first, "judge-held-out"))
        color, material = judge.probabilities(inputs)
        truth = [COLORS[int(i)] for i in examples.colors[rows]], [MATERIALS[int(i)] for i in examples.materials[rows]]
        colors += [judge.colors[int(i)] == t for i, t in zip(color.argmax(dim=1), truth[0], strict=True)]
        materials += [judge.materials[int(i)] == t for i, t in zip(material.argmax(dim=1), truth[1], strict=True)]
    return {"color": proportion(colors), "material": proportion(materials)}


def train_and_save(
    config: JudgeTrainingConfig, work: Path, out: Path, report: Callable[[str], None]
) -> dict[str, dict[str, Proportion]]:
    """Makes the data, trains, measures the held-out accuracy, and writes the weights with all of that in their
    header."""
    report(
        f"{config.mesh_pictures + config.render_pictures} pictures, then {config.steps} steps of {config.batch}: "
        f"about half an hour on one core. Parts are kept in {work}; the same command goes on."
    )
    examples, held_out = build_examples(config, work, report)
    network = train_judge(config, examples, work / "checkpoint.safetensors", report)
    judge = Judge(network, COLORS, MATERIALS)
    scores = {
        f"{name}, {'augmented' if augmented else 'clean'}": held_out_accuracy(judge, kept, augmented=augmented)
        for name, kept in held_out.items()
        for augmented in (False, True)
    }
    notes = {
        "config": asdict(config),
        "held_out": {name: {question: asdict(p) for question, p in row.items()} for name, row in scores.items()},
    }
    save_judge(out, network, notes)
    for name, row in scores.items():
        report(f"{name}: colour {row['color']}, material {row['material']}")
    return scores
