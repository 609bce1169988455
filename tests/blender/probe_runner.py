# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: calls one function of a probe script and writes its answer. Started by blender_process.py.

probe_runner.py SCRIPT FUNCTION ARGUMENTS-AS-JSON ANSWER-FILE
"""

import importlib.util
import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Call it; an exception becomes the exit code, the answer is written only where there was none."""
    script, probe, given, answer = arguments
    here = Path(__file__).resolve().parent
    # Other probe scripts, and the repository for those that test the add-on's modules by name.
    folders = [Path(script).parent, *sorted({probe.parent for probe in here.rglob("probe*.py")}), here.parents[1]]
    sys.path[:0] = [str(folder) for folder in folders]
    spec = importlib.util.spec_from_file_location(Path(script).stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[Path(script).stem] = module
    spec.loader.exec_module(module)
    result = getattr(module, probe)(**json.loads(given))
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
