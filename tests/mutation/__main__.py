# SPDX-License-Identifier: Apache-2.0
"""Do the tests notice? Small changes to modules, each with the tests that lie beside the module.

    python -m tests.mutation pgc/rendering/brdf.py --most 40
    python -m tests.mutation --most 20 --seed 1 --out tests/benchmarks/results/mutations.json

A module takes some minutes. With `--out` of a file that is there, what is in it counts, as long as the module and its
tests are the same. Exit code 1 where a module's own tests fail unchanged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.mutation.mutants import chosen_mutants
from tests.mutation.targets import TARGETS, which_tests
from tests.mutation.workshop import Workshop, warm_up

ROOT = Path(__file__).resolve().parents[2]
_SLOWEST, _LEAST = 5.0, 30.0


def digest(workshop: Workshop, module: str, tests: tuple[str, ...]) -> str:
    """Returns what tells one state of a module and its tests from another."""
    seen = hashlib.sha256(workshop.read(module).encode())
    for test in tests:
        files = sorted((ROOT / test).rglob("*.py")) if (ROOT / test).is_dir() else [ROOT / test]
        for file in files:
            seen.update(file.read_bytes())
    return seen.hexdigest()[:16]


def examine(workshop: Workshop, module: str, most: int, seed: int) -> dict[str, Any]:
    """Runs one module's mutants, and returns their counts and the survivors.

    Raises:
        RuntimeError: the tests fail without any change.
    """
    tests, source = which_tests(module), workshop.read(module)
    plain = workshop.run(module, source, tests, 1800.0)
    if plain.verdict != "survived":
        raise RuntimeError(f"{module}: its tests fail without any change:\n{workshop.log[-2000:]}")
    limit = max(_SLOWEST * plain.seconds, _LEAST)
    mutants = chosen_mutants(source, most, seed)
    counts = {"killed": 0, "timeout": 0, "survived": 0}
    survivors: list[dict[str, Any]] = []
    for mutant in mutants:
        outcome = workshop.run(module, mutant.source, tests, limit)
        counts[outcome.verdict] += 1
        if outcome.verdict == "survived":
            line = mutant.position[0]
            survivors.append({"line": line, "mutant": mutant.name, "before": mutant.before, "after": mutant.after})
            sys.stderr.write(f"  survived, line {line}: {mutant.before}  →  {mutant.after}\n")
    return {"tests": list(tests), "mutants": len(mutants), **counts, "survivors": survivors}


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="paths from the root of the repository; none: all of targets.py")
    parser.add_argument("--most", type=int, default=20, help="mutants of a module (20)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--out", type=Path, help="a JSON file to go on with")
    chosen = parser.parse_args()
    done: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.exists() else {}
    warm_up()
    with tempfile.TemporaryDirectory(prefix="pgc-mutation-") as folder:
        workshop = Workshop(ROOT, Path(folder))
        for module in chosen.modules or TARGETS:
            state = f"{digest(workshop, module, which_tests(module))}-{chosen.most}-{chosen.seed}"
            if done.get(module, {}).get("state") == state:
                continue
            try:
                found = examine(workshop, module, chosen.most, chosen.seed)
            except RuntimeError as error:
                sys.stderr.write(f"{error}\n")
                return 1
            done[module] = {"state": state, **found}
            noticed = found["killed"] + found["timeout"]
            sys.stderr.write(f"{module}: {noticed} of {found['mutants']} noticed\n")
            if chosen.out:
                chosen.out.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    total = sum(found["mutants"] for found in done.values())
    noticed = total - sum(found["survived"] for found in done.values())
    sys.stderr.write(f"{noticed} of {total} mutants noticed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
