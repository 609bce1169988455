# SPDX-License-Identifier: Apache-2.0
"""`pgc demo`: what `make demo` runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pgc.commands.failures import EXIT_INTERRUPTED, reports_failures
from pgc.commands.interrupts import InterruptFlag
from pgc.commands.progress import RunDisplay

if TYPE_CHECKING:
    from pgc.demo.config import DemoPrompt
    from pgc.runner import RunHooks

__all__ = ["demo"]


@reports_failures
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Texture a bundled teapot with three prompts and write a page to look at them."""
    console = Console(stderr=True)
    console.print("Starting …", highlight=False)
    start = time.perf_counter()
    from pgc.commands.arguments import checked_device
    from pgc.demo.config import DemoConfig
    from pgc.demo.run import run_demo

    with ExitStack() as stack:
        interrupt = stack.enter_context(InterruptFlag())
        displays = ExitStack()
        stack.push(displays)

        def hooks_for(prompt: DemoPrompt) -> RunHooks:
            displays.close()
            display = displays.enter_context(RunDisplay(console, prompt.text))
            return _hooks(display, interrupt)

        outcomes = run_demo(out, DemoConfig(), device=checked_device(device), hooks_for=hooks_for)
    page = (out / "index.html").resolve()
    console.print(
        f"{time.perf_counter() - start:.0f} s. Open {page.as_uri()}", highlight=False, markup=False, soft_wrap=True
    )
    if not all(outcome.finished for outcome in outcomes):
        raise typer.Exit(EXIT_INTERRUPTED)


def _hooks(display: RunDisplay, interrupt: InterruptFlag) -> RunHooks:
    from pgc.runner import RunHooks

    return RunHooks(
        progress=display.stage,
        on_ready=lambda run: interrupt.arm(),
        on_step=display.step,
        should_stop=lambda: interrupt.raised,
    )
