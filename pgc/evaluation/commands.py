# SPDX-License-Identifier: Apache-2.0
"""`pgc eval`: the project's claims, each by a command. torch and all that needs it are imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(name="eval", no_args_is_help=True, help="Measure: prompt agreement, oracle recovery, materials.")

OutOption = Annotated[Path | None, typer.Option("--out", help="Where the result JSON goes; default: the work folder.")]
WorkOption = Annotated[Path, typer.Option("--work", help="Folder of partial results, from which a run goes on.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="A slice of the whole, in minutes.")]


@app.command("prompts")
def prompts_command(
    out: OutOption = None,
    work: WorkOption = Path("out/eval/prompts"),
    quick: QuickOption = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only so many prompts, spread evenly.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of another pocket prior; default: the package's own.")
    ] = None,
) -> None:
    """Textures unseen meshes by drawn prompts, at the demo's settings, and lets the judge name what it sees."""
    from pgc.evaluation.prior_runs import PriorRunRequest
    from pgc.evaluation.prompts.run import run_prompts

    run_prompts(PriorRunRequest(work=work, out=out, limit=limit or (8 if quick else None), weights=weights), typer.echo)


@app.command("oracle")
def oracle_command(
    out: OutOption = None,
    work: WorkOption = Path("out/eval/oracle"),
    quick: QuickOption = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many runs.")] = None,
) -> None:
    """Recovers known materials from a perfect prior: PSNR, seams, uncovered and locked texels, exact resume."""
    from pgc.evaluation.oracle.run import run_oracle
    from pgc.evaluation.oracle.suite import OracleSuiteConfig

    config = OracleSuiteConfig.quick() if quick else OracleSuiteConfig()
    passed = run_oracle(config, work, out, limit, typer.echo)
    if not passed:
        raise typer.Exit(1)


@app.command("materials")
def materials_command(  # noqa: PLR0913 - one parameter an option
    out: OutOption = None,
    work: WorkOption = Path("out/eval/materials"),
    quick: QuickOption = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help="Only so many pairs of mesh and material; 0 reports what is done."),
    ] = None,
    light: Annotated[
        list[str] | None,
        typer.Option("--light", help="known, unknown, paper or explained; may be repeated. Default: all."),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids/--no-ids", help="Known light again, with material ids given.")] = True,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Draws materials, runs and held-out light.")] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--go-on-from", help="A result JSON of this suite, of another machine too; its runs are kept."),
    ] = None,
) -> None:
    """Recovers known materials under known light, unknown light and the paper's one sky, and relights them."""
    from dataclasses import replace

    from pgc.evaluation.materials.config import MaterialSuiteConfig
    from pgc.evaluation.materials.run import MaterialRunRequest, light_settings, run_materials
    from pgc.evaluation.materials.toy import ToyConfig

    config = MaterialSuiteConfig.quick() if quick else MaterialSuiteConfig()
    request = MaterialRunRequest(
        config=config if seed is None else replace(config, seed=seed),
        settings=light_settings(light),
        ids=ids,
        work=work,
        out=out,
        earlier=earlier,
        limit=limit or None,
        toy=ToyConfig(),
        report_only=limit == 0,
    )
    run_materials(request, typer.echo)


@app.command("finishes")
def finishes_command(
    out: OutOption = None,
    work: WorkOption = Path("out/eval/finishes"),
    quick: QuickOption = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many runs.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of another pocket prior; default: the package's own.")
    ] = None,
) -> None:
    """Textures four meshes by words of metal and gloss, and sees whether roughness and metallic follow them."""
    from pgc.evaluation.finishes.run import run_finishes
    from pgc.evaluation.prior_runs import PriorRunRequest

    run_finishes(
        PriorRunRequest(work=work, out=out, limit=limit or (4 if quick else None), weights=weights), typer.echo
    )


@app.command("methods")
def methods_command(
    out: OutOption = None,
    work: WorkOption = Path("out/eval/methods"),
    quick: QuickOption = False,
    cases: Annotated[int, typer.Option("--cases", min=1, help="Prompts, drawn for tuning.")] = 6,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of each run.")] = 80,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this method; may be repeated. Default: all of the sweep.")
    ] = None,
) -> None:
    """Sweeps threshold, weight of the latent gradient and Adam's epsilon on meshes that no other list has."""
    from pgc.evaluation.methods.run import MethodRunRequest, run_methods

    request = MethodRunRequest(work=work, out=out, quick=quick, cases=cases, steps=steps, only=tuple(only or ()))
    run_methods(request, typer.echo)


@app.command("clipping")
def clipping_command(
    out: OutOption = None,
    work: WorkOption = Path("out/eval/clipping"),
    quick: QuickOption = False,
) -> None:
    """Sweeps threshold and weight of the latent gradient, Adam's epsilon retuned for each, on several seeds."""
    from pgc.evaluation.methods.sweep import SweepConfig, run_sweep

    quicker = SweepConfig(thresholds=(None, 0.3), epsilons=(0.03,), tuned_on=1, scored_on=1, seeds=1)
    run_sweep(quicker if quick else SweepConfig(), work, out, typer.echo)


@app.command("train-judge")
def train_judge_command(
    out: Annotated[Path, typer.Option("--out", help="The judge's weights.")] = Path("out/judge/judge.safetensors"),
    work: WorkOption = Path("out/judge"),
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps.")] = None,
) -> None:
    """Trains the judge of `pgc eval prompts` on ground-truth renders (about half an hour on one core)."""
    from pgc.evaluation.judge.training import JudgeTrainingConfig, train_and_save

    train_and_save(JudgeTrainingConfig() if steps is None else JudgeTrainingConfig(steps=steps), work, out, typer.echo)
