# SPDX-License-Identifier: Apache-2.0
"""Which file imports which, read from the sources; nothing of them is run."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["Imports", "Module", "read_imports"]

Module = tuple[str, ...]
"""A file by the names on its way: ("pgc", "texture", "field"), ("pgc", "texture", "__init__")."""
Imports = Mapping[Module, frozenset[Module]]
"""Each file with the files that it imports."""
FACE = "__init__"
Statement = tuple[int | None, str | None, tuple[str, ...]]
"""Level (None: `import …`), module and names."""


def read_imports(root: Path, packages: Sequence[str]) -> Imports:
    """Return what each Python file of the packages imports of them, at its top or inside a function.

    Args:
        root: the folder in which the packages lie.
        packages: folders of `root`; a folder without `__init__.py` counts as well.
    """
    paths = {
        path.relative_to(root).with_suffix("").parts: path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    known = frozenset(paths)
    return {
        module: frozenset(_imported(module, _statements(path, path.stat().st_mtime_ns), known)) - {module}
        for module, path in paths.items()
    }


@functools.cache
def _statements(path: Path, changed: int) -> tuple[Statement, ...]:
    """Returns what a file imports, in its own words; a file that has not been changed since is read once."""
    found: list[Statement] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found.append((None, None, tuple(name.name for name in names)))
            case ast.ImportFrom(module=named, names=names, level=level):
                found.append((level, named, tuple(name.name for name in names)))
            case _:
                pass
    return tuple(found)


def _imported(module: Module, statements: Iterable[Statement], known: frozenset[Module]) -> Iterator[Module]:
    for level, named, names in statements:
        if level is None:
            yield from _found((tuple(name.split(".")) for name in names), known)
            continue
        start = module[: len(module) - level] if level else ()
        base = (*start, *(named.split(".") if named else ()))
        for name in names:
            # The name may be a file or something inside one; the longer way is the nearer answer.
            inside = list(_found([(*base, name)], known))
            yield from inside or _found([base], known)


def _found(targets: Iterable[Module], known: frozenset[Module]) -> Iterator[Module]:
    for target in targets:
        if target in known:
            yield target
        elif (*target, FACE) in known:
            yield (*target, FACE)
