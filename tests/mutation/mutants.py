# SPDX-License-Identifier: Apache-2.0
"""Small changes to a module that its tests should notice. The changes are cosmic-ray's; which of them count is ours."""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

# cosmic-ray imports parso's modules in an order that fails where nobody has imported parso before.
import parso.python.tree  # noqa: F401
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.exception_replacer import ExceptionReplacer
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

__all__ = ["Mutant", "chosen_mutants", "meaning", "mutants_of"]

Position = tuple[int, int]

_MEANINGLESS = re.compile(r"ComparisonOperator_(Is_(?!IsNot)|IsNot_(?!Is$)|(Not)?Eq_Is(Not)?$)")
"""Identity that becomes an order, and equality that becomes identity: of enumerations and small numbers the order of
names, or the interpreter's memory, would decide, which no test should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change to a module's source."""

    operator: str
    occurrence: int
    position: Position
    """Line and column where it begins."""
    before: str
    after: str
    """The first line that differs, as it was and as it is."""
    source: str
    """The whole module, changed."""

    @property
    def name(self) -> str:
        """What tells it from the others of its module."""
        return f"{self.operator}:{self.occurrence}"


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yields every change that a test may notice: annotations, docstrings and unions of types do nothing."""
    was = meaning(source)
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments() or _MEANINGLESS.search(name):
            continue
        operator = kind()
        positions = [start for node in nodes for start, _end in operator.mutation_positions(node)]
        for occurrence, position in enumerate(positions):
            changed = _changed(source, operator, occurrence)
            if changed is None or _meaning_of_change(changed) in (None, was):
                continue
            before, after = _first_difference(source, changed)
            yield Mutant(
                operator=name, occurrence=occurrence, position=position, before=before, after=after, source=changed
            )


def _changed(source: str, operator: Operator, occurrence: int) -> str | None:
    """Returns the changed source; nothing where cosmic-ray cannot make the change: it renames an exception by its one
    name, and `queue.Empty` among others has two.
    """
    try:
        return mutate_code(source, operator, occurrence)
    except AttributeError:
        if isinstance(operator, ExceptionReplacer):
            return None
        raise


def chosen_mutants(source: str, most: int, seed: int) -> list[Mutant]:
    """Draws at most `most` mutants, no two at one place of the source while there are other places."""
    rng = random.Random(seed)
    places: defaultdict[Position, list[Mutant]] = defaultdict(list)
    for mutant in mutants_of(source):
        places[mutant.position].append(mutant)
    stacks = [rng.sample(stack, len(stack)) for _position, stack in sorted(places.items())]
    rng.shuffle(stacks)
    chosen: list[Mutant] = []
    while stacks and len(chosen) < most:
        chosen += [stack.pop() for stack in stacks][: most - len(chosen)]
        stacks = [stack for stack in stacks if stack]
    return chosen


def meaning(source: str) -> str:
    """Describes what a module does, without what a change of does nothing: annotations, docstrings, unions of types."""
    return ast.dump(_Bare().visit(ast.parse(source)))


def _meaning_of_change(source: str) -> str | None:
    """Returns nothing where the change is no Python: a star of `**values` is not a product."""
    try:
        return meaning(source)
    except SyntaxError:
        return None


def _first_difference(before: str, after: str) -> tuple[str, str]:
    for one, other in zip(before.splitlines(), after.splitlines(), strict=False):
        if one != other:
            return one.strip(), other.strip()
    return "", ""


class _Bare(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._undocumented(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for decorator in node.decorator_list:
            # frozen, slots and kw_only say what code may not do: the type checker notices, not a test.
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name):
                decorator.keywords = []
        return self._undocumented(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value="")
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        # A name of a type, such as `Number = int | float`; it is read by type checkers.
        target = node.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        if isinstance(node.value, ast.BinOp) and name[:1].isupper() and not name.isupper():
            node.value = ast.Constant(value="")
        return self.generic_visit(node)

    def _undocumented(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
        return self.generic_visit(node)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
