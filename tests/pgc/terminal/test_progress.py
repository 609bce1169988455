# SPDX-License-Identifier: Apache-2.0
import io

import torch
from rich.console import Console

from pgc.optimization.gradient_statistics import GradientStatistics
from pgc.optimization.step_result import StepResult
from pgc.terminal.progress import RunDisplay

NO_GRADIENT = GradientStatistics(
    pixels=0,
    clipped_fraction=0.0,
    median_before=0.0,
    tail_before=0.0,
    median_after=0.0,
    tail_after=0.0,
    maximum_after=0.0,
    non_finite_pixels=0,
)


def step(number, steps=20):
    return StepResult(
        step=number,
        steps=steps,
        share=number / steps,
        timesteps=(1,),
        gradient=NO_GRADIENT,
        image=torch.zeros(1, 3, 1, 1),
        image_gradient=torch.zeros(1, 3, 1, 1),
        seconds={},
    )


def shown(console_options):
    file = io.StringIO()
    with RunDisplay(Console(file=file, width=100, **console_options), "red [bricks]") as display:
        display.stage("Baking", 0.0)
        display.stage("Baking", 0.5)
        for number in range(1, 21):
            display.step(step(number))
    return file.getvalue()


def test_without_a_terminal_there_are_ten_lines_with_the_time_left():
    lines = shown({"force_terminal": False}).splitlines()
    assert lines[0] == "Baking …"
    assert len(lines) == 11
    assert lines[1].startswith("red [bricks]: step 2 of 20, ")
    assert lines[1].endswith(" s left")
    assert lines[-1].startswith("red [bricks]: step 20 of 20")


def test_on_a_terminal_there_is_a_bar():
    text = shown({"force_terminal": True})
    assert "20/20" in text
    assert "step 20 of 20" not in text


def test_another_part_of_the_work_counts_anew():
    file = io.StringIO()
    with RunDisplay(Console(file=file, width=100, force_terminal=False), "Imagining") as display:
        display.step(step(20))
        display.begin("Texturing")
        display.step(step(2))
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("Imagining: step 20 of 20")
    assert lines[1:] == ["Texturing …", "Texturing: step 2 of 20"]
