# SPDX-License-Identifier: Apache-2.0
"""`pgc demo`: what `make demo` runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pgc.errors import ConfigError
from pgc.maps import MapName, parse_maps
from pgc.terminal.failures import EXIT_INTERRUPTED, reports_failures
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from pgc.demo.config import DemoPrompt
    from pgc.demo.run import Texturize
    from pgc.remote.texturizer import RemoteHooks
    from pgc.runs.runner import RunHooks

__all__ = ["demo"]

_CACHE_BYTES = 1024 * 1024 * 1024


@reports_failures
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    server: Annotated[
        bool, typer.Option("--server/--no-server", help="Through a server of its own, as Blender does, or without.")
    ] = True,
    maps: Annotated[
        str,
        typer.Option(help="Maps to make, with commas between: base_color, roughness, metallic, normal, occlusion."),
    ] = "base_color",
) -> None:
    """Textures a bundled teapot with three prompts and writes a page to look at them."""
    console = progress_console()
    console.print("Starting …", highlight=False)
    start = time.perf_counter()
    if server and device == "mps":
        raise ConfigError("--device is 'mps', which the server cannot use yet; add --no-server.")
    wanted = parse_maps(maps)
    with ExitStack() as stack:
        displays = stack.enter_context(_Displays(console))
        texturize = _over_the_wire(out, device, wanted, displays, stack) if server else _here(device, wanted, displays)
        from pgc.demo.config import DemoConfig
        from pgc.demo.run import run_demo

        outcomes = run_demo(out, DemoConfig().with_maps(wanted), texturize)
    page = (out / "index.html").resolve()
    console.print(
        f"{time.perf_counter() - start:.0f} s. Open {page.as_uri()}", highlight=False, markup=False, soft_wrap=True
    )
    if not all(outcome.finished for outcome in outcomes):
        raise typer.Exit(EXIT_INTERRUPTED)


class _Displays(ExitStack):
    """One display after another, each ended when the next begins; and the flag that Ctrl-C raises."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.interrupt = self.enter_context(InterruptFlag())
        self._one = self.enter_context(ExitStack())

    def of(self, prompt: DemoPrompt) -> RunDisplay:
        """Opens the display of a prompt, and closes the one before."""
        self._one.close()
        return self._one.enter_context(RunDisplay(self.console, prompt.text))


def _here(device: str, maps: tuple[MapName, ...], displays: _Displays) -> Texturize:
    from pgc.demo.config import DemoConfig
    from pgc.demo.run import InProcess
    from pgc.runs.arguments import checked_device
    from pgc.runs.runner import RunHooks

    def hooks_for(prompt: DemoPrompt) -> RunHooks:
        """Returns hooks that show a run of this process on the terminal."""
        display = displays.of(prompt)
        return RunHooks(
            progress=display.stage,
            on_ready=lambda run: displays.interrupt.arm(),
            on_note=lambda text: display.say(f"Note: {text}"),
            on_step=display.step,
            should_stop=lambda: displays.interrupt.raised,
        )

    return InProcess(DemoConfig().with_maps(maps), checked_device(device), hooks_for)


def _over_the_wire(
    out: Path, device: str, maps: tuple[MapName, ...], displays: _Displays, stack: ExitStack
) -> Texturize:
    """The server and the client first: they come up while this process imports what it needs."""
    from pgc.commands.texturing.remote import connected_events, leave_cores_to_server, remote_hooks, source_root
    from pgc.remote.private_server import PrivateServer

    server = stack.enter_context(PrivateServer(device, source=source_root()))
    server.start()
    events = stack.enter_context(connected_events(displays.console, server.connection, server))
    from pgc.commands.demo_remote import OverTheWire
    from pgc.demo.config import DemoConfig
    from pgc.remote.texturizer import RemoteTexturizer
    from pgc.rendering.raster.rasterizer import RasterizerConfig
    from pgc.runs.arguments import checked_device

    checked_device(device)
    leave_cores_to_server()
    config = DemoConfig().with_maps(maps)

    def hooks_for(prompt: DemoPrompt) -> RemoteHooks:
        """Returns hooks that show a run of the server on the terminal."""
        return remote_hooks(displays.of(prompt), displays.interrupt)

    # All views of the turntable stay traced for the next prompt: the mesh is the same.
    texturizer = RemoteTexturizer(events, config.outputs, rasterizer=RasterizerConfig(cache_bytes=_CACHE_BYTES))
    return OverTheWire(texturizer, config, out, hooks_for)
