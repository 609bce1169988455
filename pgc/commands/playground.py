# SPDX-License-Identifier: Apache-2.0
"""`pgc playground PROMPT`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pgc.terminal.failures import reports_failures

__all__ = ["playground"]


@reports_failures
def playground(  # noqa: PLR0913 - one parameter an option
    prompt: Annotated[str, typer.Argument(help="What the picture is to be.", show_default=False)],
    out: Annotated[Path, typer.Option(help="PNG of the pictures and their gradients.")] = Path("playground.png"),
    guidance: Annotated[str, typer.Option(help="The model, as in `pgc texture`.")] = "pocket",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Steps of each picture.")] = 60,
    loss: Annotated[str, typer.Option(help="The loss, as in `pgc texture`.")] = "sds",
    guidance_scale: Annotated[
        float | None, typer.Option(min=0.0, help="How far the prompt pulls; default: 15 for sds, else the loss's own.")
    ] = None,
    clip: Annotated[float, typer.Option(help="Threshold of PGC-N, PGC-V and PNGD.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other noise.")] = 0,
    truth: Annotated[
        Path | None,
        typer.Option(help="With --guidance oracle: the picture that it knows; its encoder's gradient is heavy-tailed."),
    ] = None,
) -> None:
    """Optimises one picture by a prompt under each way for its gradient, side by side.

    The paper's 2D experiment (its Figure 2): latents themselves, the encoder's gradient, its linear approximation,
    PNGD, PGC-V and PGC-N.
    """
    from pgc.devices import resolve_device
    from pgc.distillation.build import distillation_named
    from pgc.distillation.sds import SDSConfig
    from pgc.errors import ConfigError
    from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleConfig, OracleGuidance
    from pgc.guidance.specs import OracleSpec, load_guidance, parse_guidance
    from pgc.playground.picture import ENCODED_WAYS, WAYS, PlaygroundConfig, optimize_picture
    from pgc.playground.sheet import sheet_png
    from pgc.runs.arguments import checked_device
    from pgc.runs.settings.offers import read_loss
    from pgc.runs.sources.pictures import read_reference
    from pgc.whole_files import write_bytes

    spec = parse_guidance(guidance)
    if isinstance(spec, OracleSpec) != (truth is not None):
        raise ConfigError(
            "--truth is the picture that --guidance oracle knows; give both, or another model without --truth."
        )
    # The built-in model's colours tear at the literature's 100.
    distillation = distillation_named(read_loss(loss), SDSConfig(guidance_scale=15.0))
    if guidance_scale is not None:
        distillation = replace(distillation, guidance_scale=guidance_scale)
    config = PlaygroundConfig(steps=steps, threshold=clip, seed=seed, distillation=distillation)
    where = resolve_device(checked_device(device))
    if isinstance(spec, OracleSpec):
        teacher = OracleGuidance(OracleConfig(encoder=ConvolutionEncoderConfig()), where)
    else:
        teacher = load_guidance(spec, where)
    target = None if truth is None else read_reference(truth)
    pictures = []
    for way in WAYS if target is None else ENCODED_WAYS:
        pictures.append(optimize_picture(teacher, prompt, way, config, target))
        known = pictures[-1].statistics
        typer.echo(
            f"{way:<7}"
            + (
                "optimised as latents"
                if known is None
                else f"|g| median {known.median_before:.3g}, 99.9 % {known.tail_before:.3g} → {known.tail_after:.3g}, "
                f"{known.clipped_fraction:.0%} of the pixels touched"
            )
            + ("" if pictures[-1].error is None else f", error {pictures[-1].error:.3f}")
        )
    write_bytes(out, sheet_png(pictures))
    typer.echo(str(out))
