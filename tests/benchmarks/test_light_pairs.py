# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.benchmarks.light_pairs import light_pair, main


@pytest.mark.slow
def test_pairs_are_a_picture_what_light_does_there_and_words(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--count", "1", "--size", "24", "--texture-size", "16"])
    (line,) = (json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines())
    picture, condition, words = light_pair(0, 0, 24, 16)
    assert line["text"] == words
    for name, expected in (("file_name", picture), ("conditioning_image_file_name", condition)):
        with Image.open(tmp_path / line[name]) as image:
            found = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255.0
        torch.testing.assert_close(found, expected[0], atol=1.0 / 255.0, rtol=0.0)
    assert float(condition.amax()) > 0.05
    assert not condition[..., 0, 0].any()


def test_no_pairs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--count", "0"])
    assert "--count is 0; expected 1 or more" in capsys.readouterr().err
