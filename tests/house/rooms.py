# SPDX-License-Identifier: Apache-2.0
"""A folder as a house: rooms, floors, and the arrows between them.

A room of a folder is a file or a folder that lies in it. An arrow A → B says that some file of A imports some file
of B. A room stands on the lowest floor that is above all that it imports. Where rooms import each other in a circle
no such floor exists: they are then laid out so that few arrows run upward, and those are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.house.imports import Imports, Module

__all__ = ["Arrow", "House", "circles_of", "houses"]

Arrow = tuple[str, str]
Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class House:
    """One folder: its rooms with the number of files in each, and what each imports of the others."""

    folder: Module
    files: Mapping[str, int]
    graph: Graph

    @cached_property
    def circles(self) -> list[list[str]]:
        """The rooms that import each other in a loop; a list a loop."""
        return circles_of(self.graph)

    @cached_property
    def floors(self) -> Mapping[str, int]:
        """The floor of each room; 1 is the ground."""
        order = [room for part in _parts(self.graph) for room in _few_upward(part, self.graph)]
        floors: dict[str, int] = {}
        for room in order:
            floors[room] = 1 + max((floors[other] for other in self.graph[room] if other in floors), default=0)
        return floors

    @property
    def arrows(self) -> list[Arrow]:
        """All arrows, sorted."""
        return sorted((room, other) for room, others in self.graph.items() for other in others)

    @property
    def upward(self) -> list[Arrow]:
        """The arrows that do not run down: there is none unless there is a circle."""
        return [(room, other) for room, other in self.arrows if self.floors[room] <= self.floors[other]]

    @property
    def side_by_side(self) -> int:
        """How many Python files lie in the folder itself, without the package's face."""
        return sum(1 for room in self.files if not room.endswith("/") and room != "__init__")


def houses(imports: Imports) -> dict[Module, House]:
    """Return a house for each folder that holds a Python file, at any depth; () is the whole."""
    folders = {module[:depth] for module in imports for depth in range(len(module))}
    return {folder: _house(folder, imports) for folder in sorted(folders)}


def _house(folder: Module, imports: Imports) -> House:
    depth = len(folder)
    inside = [module for module in imports if module[:depth] == folder]
    files: dict[str, int] = {}
    graph: dict[str, set[str]] = {}
    for module in inside:
        room = _room(module, depth)
        files[room] = files.get(room, 0) + 1
        graph.setdefault(room, set()).update(
            _room(other, depth) for other in imports[module] if other[:depth] == folder
        )
    return House(folder, files, {room: frozenset(others - {room}) for room, others in graph.items()})


def _room(module: Module, depth: int) -> str:
    return module[depth] + ("/" if len(module) > depth + 1 else "")


def circles_of(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other, each sorted."""
    return [sorted(part) for part in _parts(graph) if len(part) > 1]


def _parts(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected parts (Tarjan), each after all that it reaches."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    parts: list[list[str]] = []

    def visit(node: str) -> None:
        numbers[node] = lowest[node] = len(numbers)
        waiting.append(node)
        for other in sorted(graph[node]):
            if other not in numbers:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in waiting:
                lowest[node] = min(lowest[node], numbers[other])
        if lowest[node] == numbers[node]:
            start = waiting.index(node)
            parts.append(waiting[start:])
            del waiting[start:]

    for node in sorted(graph):
        if node not in numbers:
            visit(node)
    return parts


def _few_upward(part: list[str], graph: Graph) -> list[str]:
    """Return the rooms of a circle from the lowest on: always the one next that imports least of what is left."""
    left = set(part)
    order: list[str] = []
    while left:
        users = {room: sum(room in graph[other] for other in left) for room in left}
        lowest = min(left, key=lambda room: (len(graph[room] & left) - users[room], room))
        order.append(lowest)
        left.remove(lowest)
    return order
