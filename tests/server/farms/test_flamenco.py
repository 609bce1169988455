# SPDX-License-Identifier: Apache-2.0
"""Flamenco's job type, under node with a stub of what Flamenco offers such scripts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.server.farms.options import check_command

SCRIPT = Path(__file__).resolve().parents[3] / "server/farms/flamenco/pgc_texture.js"
STUB = """
const fs = require("fs"), vm = require("vm");
const { script, settings } = JSON.parse(fs.readFileSync(0, "utf8"));
const named = (what, value) => { if (!String(value || "").trim()) throw new Error(what + " is required"); };
const author = {
    Task: (name, type) => {
        named("name", name); named("type", type);
        const task = { name, type, commands: [] };
        Object.defineProperty(task, "addCommand", { value: command => task.commands.push(command) });
        return task;
    },
    Command: (name, parameters) => { named("command", name); return { name, parameters }; },
};
const context = { author, path: require("path").posix, print: () => undefined };
vm.createContext(context);
const exported = "\\nthis.JOB_TYPE = JOB_TYPE; this.compileJob = compileJob;";
vm.runInContext(fs.readFileSync(script, "utf8") + exported, context);
const given = {};
for (const setting of context.JOB_TYPE.settings) if ("default" in setting) given[setting.key] = setting.default;
const job = { settings: Object.assign(given, settings), tasks: [] };
let thrown = null;
try {
    context.compileJob({ settings: job.settings, addTask: task => job.tasks.push(task) });
} catch (error) { thrown = String(error); }
console.log(JSON.stringify({ type: context.JOB_TYPE, tasks: job.tasks, thrown }));
"""
GIVEN = {"mesh": "/data/chair.obj", "prompt": "red 'bricks' $(x)", "output": "/data/out"}


def compiled(**settings: Any) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    told = json.dumps({"script": str(SCRIPT), "settings": settings})
    done = subprocess.run([node, "-e", STUB], input=told, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_variation_is_a_task_of_its_own_seed() -> None:
    tasks = compiled(**GIVEN, first_seed=7, variations=3, preset="draft", maps="base_color,normal")["tasks"]
    assert [task["name"] for task in tasks] == ["texture-7", "texture-8", "texture-9"]
    for task, seed in zip(tasks, ("7", "8", "9"), strict=True):
        ((name, parameters),) = [(command["name"], command["parameters"]) for command in task["commands"]]
        assert (task["type"], name, parameters["exe"]) == ("pgc", "exec", "{pgc}")
        assert parameters["args"] == [
            *("texture", "/data/chair.obj", "--prompt", "red 'bricks' $(x)", "--out", f"/data/out/seed-{seed}"),
            *("--seed", seed, "--preset", "draft", "--maps", "base_color,normal", "--guidance", "pocket"),
            "--resume-or-start",
        ]


def test_what_it_runs_is_understood_by_the_command() -> None:
    for task in compiled(**GIVEN, variations=2)["tasks"]:
        check_command(task["commands"][0]["parameters"]["args"])


def test_settings_are_what_flamenco_knows() -> None:
    job_type = compiled(**GIVEN)["type"]
    assert job_type["label"]
    keys = [setting["key"] for setting in job_type["settings"]]
    assert len(keys) == len(set(keys))
    for setting in job_type["settings"]:
        assert setting["type"] in {"string", "int32", "float", "bool"}
        assert setting.get("subtype", "file_path") in {"file_path", "dir_path", "file_name", "hashed_file_path"}
        assert setting.get("required") or "default" in setting, setting["key"]
        assert setting.keys() <= {
            *("key", "type", "subtype", "required", "default", "propargs", "choices", "description", "visible")
        }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mesh": ""}, '"mesh" is empty'),
        ({"prompt": "  "}, '"prompt" is empty'),
        ({"output": None}, '"output" is empty'),
        ({"variations": 0}, '"variations" is 0; expected 1 or more'),
    ],
)
def test_a_job_without_what_it_needs_is_refused_in_a_sentence(changed: dict[str, Any], words: str) -> None:
    found = compiled(**{**GIVEN, **changed})
    assert words in found["thrown"]
    assert not found["tasks"]
