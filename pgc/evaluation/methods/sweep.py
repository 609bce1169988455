# SPDX-License-Identifier: Apache-2.0
"""How strongly to clip: c × λ, Adam's ε retuned for each pair, then seeds of other prompts at the ε that was chosen.

Two stages, so that what chooses an ε is not what the pair is scored by. Prompts, meshes and seeds are those of
`tuning_cases`, of which the first tunes and the next two are scored. Which thresholds are scored was narrowed when the
tuning and one scored run were done: the results that stand beside the benchmarks are not blind to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from pgc.distillation.hifa import HiFAConfig
from pgc.errors import ConfigError
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.judge.judge import load_judge
from pgc.evaluation.measures.statistics import mean_interval, median
from pgc.evaluation.methods.config import Method, TuningCase, regulation_of, tuning_cases
from pgc.evaluation.methods.suite import MethodSuite, demo_prior
from pgc.guidance.specs import load_guidance
from pgc.optimization.config import OptimizeConfig

__all__ = ["Pair", "SweepConfig", "best_epsilon", "run_sweep", "summary_of"]

Score = Callable[[Method, TuningCase], dict[str, Any]]
_SEEDS_APART = 100
"""Between the seeds of one prompt; the list of prompts is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A threshold (None: no clipping) and a weight of the gradient through the encoder."""

    threshold: float | None
    weight: float

    @property
    def name(self) -> str:
        """What files and tables call it."""
        return f"c{'none' if self.threshold is None else f'{self.threshold:g}'}-l{self.weight:g}"

    def method(self, base: OptimizeConfig, epsilon: float) -> Method:
        """Returns the setting of the loop.

        Raises:
            ConfigError: the preset's loss is not HiFA.
        """
        loss = base.distillation
        if not isinstance(loss, HiFAConfig):
            raise ConfigError(f"The sweep of clipping is for HiFA; the preset has {type(loss).__name__}.")
        optimize = replace(
            base,
            distillation=replace(loss, latent_weight=self.weight),
            regulation=regulation_of(self.threshold),
            epsilon=epsilon,
        )
        return Method(name=f"{self.name}-e{epsilon:g}", optimize=optimize)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConfig:
    """What is compared, on what."""

    thresholds: tuple[float | None, ...] = (None, 1.0, 0.3, 0.1, 0.05, 0.02)
    weights: tuple[float, ...] = (0.0, 1.0)
    epsilons: tuple[float, ...] = (0.003, 0.01, 0.03, 0.09)
    """Of Adam. The preset's is 0.03; a gradient clipped at 0.02 is a tenth of what that was chosen for."""
    tuned_on: int = 1
    """How many prompts, one seed each, choose each pair's ε."""
    scored_on: int = 2
    """Further prompts."""
    seeds: int = 3
    """Of each further prompt."""
    finalists: tuple[float | None, ...] = (None, 0.3, 0.02)
    """Thresholds that are scored: none, the default, and the one that the tuning runs liked best."""
    steps: int = 24
    """After the warm start: a third of a standard run's."""

    def pairs(self) -> tuple[Pair, ...]:
        """Returns what is tuned."""
        return tuple(Pair(threshold=c, weight=weight) for weight in self.weights for c in self.thresholds)

    def scored_pairs(self) -> tuple[Pair, ...]:
        """Returns those of them that are scored; the first is what the others are compared with."""
        return tuple(pair for pair in self.pairs() if pair.threshold in self.finalists)

    def tuning(self) -> tuple[TuningCase, ...]:
        """Returns the cases that choose."""
        return tuning_cases(self.tuned_on)

    def scored(self) -> tuple[TuningCase, ...]:
        """Returns the cases that score: each further prompt at each seed, none of them used before."""
        return tuple(
            replace(case, index=case.index + _SEEDS_APART * number, seed=case.seed + _SEEDS_APART * number)
            for case in tuning_cases(self.tuned_on + self.scored_on)[self.tuned_on :]
            for number in range(1, self.seeds + 1)
        )


def best_epsilon(pair: Pair, rows: Mapping[float, Sequence[Mapping[str, Any]]], preset: float) -> float:
    """Returns the ε with the highest mean of the judge's two probabilities; of equals the one nearest to the preset's.

    Args:
        pair: for the message alone.
        rows: of each ε, its cases with `color` and `material`.
        preset: what is taken where nothing decides.

    Raises:
        ConfigError: there is nothing to choose from.
    """
    if not rows or not all(rows.values()):
        raise ConfigError(f"There are no runs that could choose an epsilon for {pair.name}.")
    return max(rows, key=lambda epsilon: (_quality(rows[epsilon]), -abs(epsilon - preset)))


def _quality(rows: Sequence[Mapping[str, Any]]) -> float:
    return mean((row["color"] + row["material"]) / 2.0 for row in rows)


def summary_of(rows: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns means with intervals over the scored cases, and of the differences to the reference, case by case."""
    regulated = [row["regulation"] for row in rows]
    names = ("color", "material", "speckle")
    return {
        "n": len(rows),
        **{name: mean_interval([row[name] for row in rows]) for name in names},
        "less_reference": {
            name: mean_interval([row[name] - other[name] for row, other in zip(rows, reference, strict=True)])
            for name in names
        },
        **{
            name: mean_interval([one[name] for one in regulated])
            for name in ("clipped_fraction", "median_before", "tail_before", "tail_after")
        },
    }


def run_sweep(config: SweepConfig, work: Path, out: Path | None, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs both stages, or goes on where they were, and writes the results. Returns what the JSON holds."""
    spec, settings, cache = demo_prior(config.steps, work)
    suite = MethodSuite(settings, load_guidance(spec, torch.device("cpu")), load_judge(), cache)
    pairs = config.pairs()
    runs = len(pairs) * len(config.epsilons) * config.tuned_on + len(config.scored_pairs()) * len(config.scored())
    report(f"{len(pairs)} pairs of c and λ: {runs} runs. Parts are kept in {cache.folder}; the same command goes on.")
    done = 0

    def score(method: Method, case: TuningCase) -> dict[str, Any]:
        nonlocal done
        row = suite.score(method, case)
        done += 1
        report(
            f"{done}/{runs} {row['name']}: colour {row['color']:.3f}, material {row['material']:.3f}, "
            f"speckle {row['speckle']:.4f}, {row['seconds']:.0f} s"
        )
        return row

    found = {
        "environment": environment(),
        "configuration": cache.configuration,
        "configuration_hash": cache.key,
        "sweep": asdict(config),
        **_both_stages(config, settings.optimize, score),
    }
    path = out or cache.folder / "result.json"
    write_json(path, rounded(found, 5))
    report(str(path))
    return found


def _both_stages(config: SweepConfig, base: OptimizeConfig, score: Score) -> dict[str, Any]:
    pairs = config.pairs()
    tuning = _tuned(config, base, score)
    chosen = {pair.name: best_epsilon(pair, tuning[pair.name], base.epsilon) for pair in pairs}
    finalists = config.scored_pairs()
    rows: dict[str, list[dict[str, Any]]] = {pair.name: [] for pair in finalists}
    for case in config.scored():
        for pair in finalists:
            rows[pair.name].append(score(pair.method(base, chosen[pair.name]), case))
    reference = rows[finalists[0].name]
    return {
        "cases": {
            "tuning": [asdict(case) for case in config.tuning()],
            "scored": [asdict(case) for case in config.scored()],
        },
        "tuning": {
            name: {f"{epsilon:g}": _quality(each) for epsilon, each in of.items()} for name, of in tuning.items()
        },
        "epsilon": chosen,
        "reference": finalists[0].name,
        "pairs": {name: summary_of(each, reference) for name, each in rows.items()},
        "seconds_median": median([row["seconds"] for each in rows.values() for row in each]),
        "rows": [_kept(row) for each in rows.values() for row in each],
    }


def _tuned(config: SweepConfig, base: OptimizeConfig, score: Score) -> dict[str, dict[float, list[dict[str, Any]]]]:
    """The tuning rows, by pair and ε. A case's runs are one after another: they begin as one warm start."""
    found: dict[str, dict[float, list[dict[str, Any]]]] = {
        pair.name: {epsilon: [] for epsilon in config.epsilons} for pair in config.pairs()
    }
    for case in config.tuning():
        for pair in config.pairs():
            for epsilon in config.epsilons:
                found[pair.name][epsilon].append(score(pair.method(base, epsilon), case))
    return found


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "color", "material", "speckle")} | {
        "clipped_fraction": row["regulation"]["clipped_fraction"]
    }
