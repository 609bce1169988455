# SPDX-License-Identifier: Apache-2.0
"""There is one way to write a file in each of the packages, and a call that goes around it is found."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HELPERS = {"pgc/whole_files.py", "blender_addon/whole_file.py", "server/platform.py"}
SAVERS = {"save", "savez", "savez_compressed", "save_file", "save_pretrained", "imwrite", "tofile", "dump"}
METHODS = {"write_bytes", "write_text", "rename", "touch", "symlink_to", "hardlink_to"}
FUNCTIONS = {
    "os.replace",
    "os.rename",
    "os.open",
    "shutil.copyfile",
    "shutil.copy",
    "shutil.copy2",
    "shutil.copytree",
    "shutil.move",
    "tempfile.mkstemp",
    "tempfile.NamedTemporaryFile",
    "oiio.ImageOutput.create",
}
MODES = set("wax+")
ALLOWED = {
    # Into a temporary folder that goes with the process; whoever reads them there waits for the writer.
    ("pgc/mesh/uvs/xatlas_process.py", "np.save"): "handed to xatlas in a temporary folder",
    ("pgc/mesh/uvs/xatlas_process.py", "errors.open"): "what xatlas says, in a temporary folder",
    ("pgc/mesh/uvs/xatlas_worker.py", "np.save"): "handed back from xatlas in a temporary folder",
    ("pgc/export/blend.py", "np.savez"): "handed to Blender in a temporary folder",
    ("pgc/export/blend.py", "description.write_text"): "handed to Blender in a temporary folder",
    ("pgc/export/blend.py", "file.write_bytes"): "handed to Blender in a temporary folder",
    ("pgc/remote/private_server.py", "self._log.open"): "a log, in a temporary folder",
    ("blender_addon/server_install/runner.py", "self._log.open"): "a log, written line by line",
    ("blender_addon/scene/pictures/images.py", "write_bytes"): "packed from a temporary folder",
    ("blender_addon/scene/pictures/bake.py", "image.save"): "read back from a temporary folder",
    ("build_addon.py", "shutil.copytree"): "a clean copy to build from, in a temporary folder",
    ("build_addon.py", "shutil.copyfile"): "a clean copy to build from, in a temporary folder",
    # Into what `replacing` gave, in a function of its own.
    ("pgc/images/writing.py", "oiio.ImageOutput.create"): "to the temporary path of write_image",
    # Into memory.
    ("pgc/images/maps.py", "Image.fromarray(…).save"): "PNG bytes",
    ("pgc/pictures/contact_sheet.py", "sheet.save"): "PNG bytes",
    ("pgc/playground/sheet.py", "sheet.save"): "PNG bytes",
    ("pgc/pictures/turntable.py", "frames[…].save"): "WebP bytes",
    ("pgc/evaluation/materials/report.py", "Image.open(…).convert(…).save"): "JPEG bytes in a page",
    # A folder of many files, read by nobody before the training's last line.
    ("pgc/pocket/training/export.py", "pipeline.to(…).save_pretrained"): "the trained prior, a folder",
    # A whole file changes its folder within one file system.
    ("pgc/runs/earlier_run.py", "source.replace"): "a run's files are set aside and given back by renaming",
    # Not files.
    ("pgc/terminal/streams.py", "os.open"): "the null device",
    ("pgc/runs/recorder.py", "self.run.save"): "pgc.runs.checkpoint, which goes through the helper",
    ("pgc/pocket/training/loop.py", "state.save"): "state.py, which goes through the helper",
    ("pgc/pocket/training/train_diffusion.py", "state.save"): "state.py, which goes through the helper",
    ("pgc/pocket/training/train_vae.py", "state.save"): "state.py, which goes through the helper",
}
SERVER = "server/"
"""The broker's files are appended to and renamed by rules of their own: see server/FAILURES.md and its tests."""


def name_of(node):
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{name_of(node.value)}.{node.attr}"
        case ast.Call():
            return f"{name_of(node.func)}(…)"
        case ast.Subscript():
            return f"{name_of(node.value)}[…]"
        case _:
            return "?"


def writes(call):
    """Whether a call writes, moves or makes a file, by its name and mode."""
    name = name_of(call.func)
    last = name.rsplit(".", 1)[-1]
    if name in FUNCTIONS:
        return True
    if last == "open":
        # Of the built-in the mode is second, of a path's own first.
        places = call.args[1:2] if isinstance(call.func, ast.Name) else call.args[:1]
        given = [*places, *(word.value for word in call.keywords if word.arg == "mode")]
        modes = [mode.value for mode in given if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
        return any(MODES & set(mode) and set(mode) <= set("rwaxbt+") for mode in modes)
    if not isinstance(call.func, ast.Attribute):
        return last in SAVERS and last != "dump"
    if last in METHODS:
        return True
    if last == "replace" and len(call.args) == 1 and not call.keywords:
        return not isinstance(call.args[0], ast.Starred)
    # json.dump and the like write to what was opened before.
    return last in SAVERS and (last != "dump" or name.startswith(("json", "pickle")))


class Finder(ast.NodeVisitor):
    def __init__(self):
        self.targets, self.found = [], []

    def visit_With(self, node):
        names = [
            item.optional_vars.id
            for item in node.items
            if isinstance(item.context_expr, ast.Call)
            and name_of(item.context_expr.func) == "replacing"
            and isinstance(item.optional_vars, ast.Name)
        ]
        self.targets += names
        self.generic_visit(node)
        del self.targets[len(self.targets) - len(names) :]

    def visit_Call(self, node):
        inside = {name.id for part in (node.func, *node.args) for name in ast.walk(part) if isinstance(name, ast.Name)}
        if writes(node) and not inside & set(self.targets):
            self.found.append((name_of(node.func), node.lineno))
        self.generic_visit(node)


def writers_in(text):
    finder = Finder()
    finder.visit(ast.parse(text))
    return finder.found


def sources():
    for top in ("pgc", "blender_addon"):
        yield from sorted((ROOT / top).rglob("*.py"))
    yield ROOT / "build_addon.py"


def is_allowed(file, name):
    return any(file == known and (name == called or name.endswith(f".{called}")) for known, called in ALLOWED)


@pytest.mark.slow
def test_all_files_are_written_by_the_helpers():
    around = []
    for path in sources():
        file = path.relative_to(ROOT).as_posix()
        if file in HELPERS:
            continue
        for name, line in writers_in(path.read_text("utf-8")):
            if not is_allowed(file, name):
                around.append(f"{file}:{line}: {name}")
    assert around == [], "write by pgc.whole_files or blender_addon.whole_file, or say in ALLOWED why not"


@pytest.mark.slow
def test_what_is_allowed_is_still_there():
    calls = {(p.relative_to(ROOT).as_posix(), name) for p in sources() for name, _ in writers_in(p.read_text("utf-8"))}
    for known, called in ALLOWED:
        assert any(file == known and (name == called or name.endswith(f".{called}")) for file, name in calls), known


@pytest.mark.parametrize(
    "code",
    [
        "open('a', 'w')",
        "open('a', mode='ab')",
        "path.open('xb')",
        "Path('a').write_text('b')",
        "image.save(path)",
        "np.save(path, array)",
        "os.replace(a, b)",
        "partial.replace(path)",
        "partial.rename(path)",
        "tempfile.mkstemp(dir=folder)",
        "torch.save(x, path)",
        "shutil.copyfile(a, b)",
        "with replacing(path) as temporary:\n    other.write_bytes(b'')",
    ],
)
def test_the_guard_sees_each_way_around(code):
    assert writers_in(code)


@pytest.mark.parametrize(
    "code",
    [
        "open('a')",
        "path.open('rb')",
        "text.replace('a', 'b')",
        "replace(config, steps=1)",
        "with replacing(path) as temporary:\n    temporary.write_bytes(b'')",
        "with replacing(path) as temporary, temporary.open('wb') as file:\n    np.save(file, temporary)",
        "write_bytes(path, b'')",
    ],
)
def test_the_guard_leaves_others_alone(code):
    assert not [name for name, _ in writers_in(code) if name != "write_bytes"]
