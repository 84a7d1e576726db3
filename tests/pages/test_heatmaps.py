"""Figures, judged by their pixels: which colour stands where."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from xmrc.errors import ResourceError
from xmrc.pages.heatmaps import Heatmap, draw_heatmaps, gxlt_difference_heatmap, gxlt_heatmap


def matrix(values, questions=("en", "de"), contexts=("en", "de")):
    return pd.DataFrame(values, list(questions), list(contexts), dtype=float)


def pixels_of(path, colours, level):
    """(row, column) of each pixel of this level of the colour map, the colour bar left out."""
    image = imread(path)[:, :, :3]
    wanted = np.array(matplotlib.colormaps[colours](level)[:3])
    rows, columns = np.nonzero(np.abs(image - wanted).max(axis=2) < 2 / 255)
    table = columns < 0.8 * image.shape[1]
    return rows[table], columns[table]


def test_rows_are_questions_and_columns_contexts(tmp_path):
    path = tmp_path / "matrix.png"
    gxlt_heatmap(path, matrix([[0.0, 100.0], [0.0, 0.0]]), title="base")
    dark_rows, dark_columns = pixels_of(path, "YlGnBu", 1.0)
    light_rows, light_columns = pixels_of(path, "YlGnBu", 0.0)
    assert dark_rows.size > 1000
    assert dark_rows.max() < np.median(light_rows)  # en asks: the upper row
    assert dark_columns.min() > np.median(light_columns)  # about German: the second column


def test_difference_is_centred_on_zero(tmp_path):
    path = tmp_path / "change.png"
    old, new = matrix([[50.0, 50.0], [50.0, 50.0]]), matrix([[50.0, 60.0], [45.0, 50.0]])
    gxlt_difference_heatmap(path, new, old, title="champion minus base")
    gain_rows, gain_columns = pixels_of(path, "RdBu", 1.0)
    loss_rows, loss_columns = pixels_of(path, "RdBu", 0.25)  # -5 of -10 to 10
    none_rows, _ = pixels_of(path, "RdBu", 0.5)
    assert min(gain_rows.size, loss_rows.size, none_rows.size) > 1000
    assert gain_rows.mean() < loss_rows.mean()
    assert gain_columns.mean() > loss_columns.mean()


@pytest.mark.parametrize(
    "values",
    [
        [[80.0, None], [None, 60.0]],
        [[None, 50.0], [None, None]],  # a row and a column without any pair
        [[100.0, 100.0], [100.0, 100.0]],  # a range of nothing
    ],
)
def test_every_table_can_be_drawn(tmp_path, values):
    gxlt_heatmap(tmp_path / "matrix.png", matrix(values), title="a title that is long " * 5)
    gxlt_difference_heatmap(tmp_path / "zero.png", matrix(values), matrix(values), title="zero")
    for path in tmp_path.iterdir():
        assert imread(path).std() > 0


def test_each_of_several_has_colours_of_its_own(tmp_path):
    low, high = matrix([[0.1, 0.2], [None, 0.1]]), matrix([[50.0, 90.0], [50.0, 50.0]])
    heatmaps = [
        Heatmap(title, frame, "down", "across") for title, frame in (("l", low), ("h", high))
    ]
    draw_heatmaps(path := tmp_path / "two.png", heatmaps, number="{:.2f}")
    left, right = np.split(imread(path)[:, :, :3], 2, axis=1)
    darkest, absent = matplotlib.colormaps["YlGnBu"](1.0)[:3], [0xF2 / 255] * 3
    for colour, sides in ((darkest, (True, True)), (absent, (True, False))):
        there = (np.abs(side - np.array(colour)).max(axis=2) < 2 / 255 for side in (left, right))
        assert tuple(bool(pixels.sum() > 1000) for pixels in there) == sides


def test_difference_of_corpora_with_other_languages(tmp_path):
    german = matrix([[10.0, 20.0]], ["de"], ["de", "zh"])
    path = tmp_path / "change.png"
    gxlt_difference_heatmap(path, matrix([[1.0, 2.0], [3.0, 20.0]]), german, title="change")
    gain_rows, _ = pixels_of(path, "RdBu", 1.0)
    assert gain_rows.size > 1000


def test_the_same_table_gives_the_same_file(tmp_path):
    for name in ("one.png", "two.png"):
        gxlt_heatmap(tmp_path / name, matrix([[1.0, 2.0], [3.0, 4.0]]), title="base")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_figure_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"matrix\.png: cannot be written"):
        gxlt_heatmap(tmp_path / "file" / "matrix.png", matrix([[1.0, 2.0], [3.0, 4.0]]), title="")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_display_is_asked_for(tmp_path):
    script = (
        "import sys; from pathlib import Path; from xmrc.pages.heatmaps import gxlt_heatmap\n"
        "from pandas import DataFrame\n"
        "gxlt_heatmap(Path(sys.argv[1]), DataFrame({'en': [50.0]}, ['en']), title='x')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {**os.environ, "MPLBACKEND": "tkagg", "DISPLAY": ""}
    path = tmp_path / "matrix.png"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=environment)
    assert path.stat().st_size > 1000
