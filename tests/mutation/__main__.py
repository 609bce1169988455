# SPDX-License-Identifier: Apache-2.0
"""Do the tests notice? Small changes to modules, each with the tests that lie beside the module.

    python -m tests.mutation pgc/rendering/brdf.py --most 40
    python -m tests.mutation --most 16 --out tests/benchmarks/results/mutation.json

A module takes some minutes. With `--out` of a file that is there, what is in it counts, as long as the module and its
tests are the same; with `--survivors` too, only changes that survived are tried again where tests alone have changed.
Exit code 1 where a module's own tests fail unchanged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.mutants import Mutant, chosen_mutants
from tests.mutation.targets import TARGETS, which_tests
from tests.mutation.workshop import Verdict, Workshop, warm_up

ROOT = Path(__file__).resolve().parents[2]
_SLOWEST, _LEAST = 5.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which changes of each module are tried."""

    most: int
    seed: int


def digests(workshop: Workshop, module: str, tests: Sequence[str]) -> dict[str, str]:
    """Returns what tells one state of a module, and of its tests, from another."""
    seen = hashlib.sha256()
    for test in tests:
        files = sorted((ROOT / test).rglob("*.py")) if (ROOT / test).is_dir() else [ROOT / test]
        for file in files:
            seen.update(file.read_bytes())
    source = hashlib.sha256(workshop.read(module).encode())
    return {"source": source.hexdigest()[:16], "test_files": seen.hexdigest()[:16]}


def examine(workshop: Workshop, module: str, mutants: Sequence[Mutant]) -> dict[str, Verdict]:
    """Runs mutants of one module, and returns what became of each by its name.

    Raises:
        RuntimeError: the tests fail without any change.
    """
    tests, source = which_tests(module), workshop.read(module)
    plain = workshop.run(module, source, tests, 1800.0)
    if plain.verdict != "survived":
        raise RuntimeError(f"{module}: its tests fail without any change:\n{workshop.log[-2000:]}")
    limit = max(_SLOWEST * plain.seconds, _LEAST)
    found: dict[str, Verdict] = {}
    for mutant in mutants:
        found[mutant.name] = workshop.run(module, mutant.source, tests, limit).verdict
        if found[mutant.name] == "survived":
            sys.stderr.write(f"  survived, line {mutant.position[0]}: {mutant.before}  →  {mutant.after}\n")
    return found


def survivors(
    mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict], before: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the changes that nothing noticed, each with the reason that a reader gave for it earlier."""
    reasons = {(one["before"], one["after"]): one.get("reason", "") for one in before.get("survivors", [])}
    return [
        {
            "line": mutant.position[0],
            "mutant": mutant.name,
            "before": mutant.before,
            "after": mutant.after,
            "reason": reasons.get((mutant.before, mutant.after), ""),
        }
        for mutant in mutants
        if verdicts[mutant.name] == "survived"
    ]


def examined(
    workshop: Workshop, module: str, sample: Sample, before: Mapping[str, Any], *, again: bool
) -> dict[str, Any]:
    """Returns a module's row of the results: what was there where nothing has changed.

    Args:
        before: the row of an earlier run; empty where there is none.
        again: whether only survivors are tried again where the tests alone have changed.
    """
    tests = which_tests(module)
    state = {**digests(workshop, module, tests), "most": sample.most, "seed": sample.seed}
    if before.get("state") == state:
        return dict(before)
    mutants = chosen_mutants(workshop.read(module), sample.most, sample.seed)
    verdicts: dict[str, Verdict] = {}
    tried = mutants
    if again and before and {**before["state"], "test_files": ""} == {**state, "test_files": ""}:
        left = {one["mutant"] for one in before["survivors"]}
        verdicts = {mutant.name: "killed" for mutant in mutants}
        tried = [mutant for mutant in mutants if mutant.name in left]
    verdicts |= examine(workshop, module, tried)
    rows = survivors(mutants, verdicts, before)
    noticed = len(mutants) - len(rows)
    sys.stderr.write(f"{module}: {noticed} of {len(mutants)} noticed\n")
    return {
        "state": state,
        "commit": _commit(),
        "tests": list(tests),
        "mutants": len(mutants),
        "noticed": noticed,
        "survivors": rows,
    }


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="paths from the root of the repository; none: all of targets.py")
    parser.add_argument("--most", type=int, default=20, help="mutants of a module (20)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--out", type=Path, help="a JSON file to go on with")
    parser.add_argument("--survivors", action="store_true", help="where tests alone changed: only what survived")
    chosen = parser.parse_args()
    done: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.exists() else {}
    sample = Sample(most=chosen.most, seed=chosen.seed)
    warm_up()
    with tempfile.TemporaryDirectory(prefix="pgc-mutation-") as folder:
        workshop = Workshop(ROOT, Path(folder))
        for module in chosen.modules or TARGETS:
            try:
                done[module] = examined(workshop, module, sample, done.get(module, {}), again=chosen.survivors)
            except RuntimeError as error:
                sys.stderr.write(f"{error}\n")
                return 1
            if chosen.out:
                chosen.out.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    total = sum(found["mutants"] for found in done.values())
    sys.stderr.write(f"{sum(found['noticed'] for found in done.values())} of {total} mutants noticed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
