# SPDX-License-Identifier: Apache-2.0
"""`pgc compare GRID` and `pgc compare --votes FILE…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from pgc.comparison.grid import Grid

__all__ = ["compare"]


@reports_failures
def compare(  # noqa: PLR0913 - one parameter an option
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="The grid, in TOML or JSON; with --votes, what people saved.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of index.html.")] = Path("out/compare"),
    method: Annotated[
        list[str] | None,
        typer.Option(help="'NAME: option=value …', options of `pgc texture`; commas make several. May be repeated."),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="What to texture it as; may be repeated.")] = None,
    mesh: Annotated[list[str] | None, typer.Option(help="A mesh's file, or teapot; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="May be repeated; default: 0.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many runs now; the same command goes on.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Say what it would cost, and run nothing.")] = False,
    votes: Annotated[bool, typer.Option("--votes", help="Sum up files of votes.")] = False,
) -> None:
    """Textures by several methods and puts them side by side on one page, where people can choose blindly.

    Options of the command line replace what the grid's file says of the same; --method adds to its methods. What was
    run is not run again.
    """
    given = list(files or [])
    axes = {"prompts": prompt, "meshes": mesh, "seeds": seed}
    if votes:
        _sum_up(given, any(axes.values()) or bool(method))
        return
    console = progress_console()
    console.print("Starting …", highlight=False)
    from pgc.comparison.run import ComparisonRequest, run_comparison
    from pgc.runs.runner import RunHooks

    grid = _grid(given, method or [], {name: tuple(values) for name, values in axes.items() if values})
    request = ComparisonRequest(grid=grid, out=out, device=device, limit=limit, only_cost=cost)
    with InterruptFlag() as interrupt, RunDisplay(console, "Comparing") as display:

        def on_ready(run: object) -> None:
            """Lets Ctrl-C keep the run's state from here on."""
            interrupt.arm()

        hooks = RunHooks(
            progress=display.stage,
            on_ready=on_ready,
            on_note=lambda text: display.say(f"Note: {text}"),
            on_step=display.step,
            should_stop=lambda: interrupt.raised,
        )
        outcome = run_comparison(request, display.say, hooks)
    if outcome.page is not None:
        console.print(f"Open {outcome.page.resolve().as_uri()}", highlight=False, markup=False, soft_wrap=True)
    if not outcome.finished and not cost and limit is None:
        raise typer.Exit(EXIT_INTERRUPTED)


def _grid(files: list[Path], methods: list[str], axes: dict[str, tuple[Any, ...]]) -> Grid:
    from pgc.comparison.grid import Grid, Method, parse_method, read_grid
    from pgc.errors import ConfigError

    if len(files) > 1:
        raise ConfigError(f"Got {len(files)} files; expected one grid, or --votes before files of votes.")
    content: dict[str, Any] = read_grid(files[0]) if files else {}
    content |= axes
    added = tuple(one for text in methods for one in parse_method(text))
    content["methods"] = (*content.get("methods", ()), *added) or (Method(name="default"),)
    if not content.get("prompts"):
        raise ConfigError("The comparison has no prompts; give --prompt, or `prompts` in the grid's file.")
    return Grid(**content)


def _sum_up(files: list[Path], has_grid: bool) -> None:
    from pgc.comparison.votes import read_votes, sum_up
    from pgc.errors import ConfigError

    if has_grid:
        raise ConfigError("--votes sums up what people saved and runs nothing; leave the options of a grid out.")
    if not files:
        raise ConfigError("--votes needs files of votes; save some from the page.")
    for line in sum_up(read_votes(files), len(files)).lines():
        typer.echo(line)
