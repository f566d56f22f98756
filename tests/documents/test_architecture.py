"""The page on the architecture says what the code says."""

import html
import re
from pathlib import Path

import pytest

from tests.test_layering import ALLOWED

ROOT = Path(__file__).parents[2]


def test_the_figure_is_what_the_code_gives():
    from draw_architecture import boxes_of

    drawn = html.unescape((ROOT / "docs/images/architecture.svg").read_text(encoding="utf-8"))
    lines = [
        line
        for column in boxes_of(ROOT / "configs/stage2/trainval.py")
        for box in column
        for text in box
        for line in text.split("\n")
    ]
    assert any("1 x 6 x 3 x" in line for line in lines)
    missing = [line for line in lines if line not in drawn]
    assert not missing, "run python docs/draw_architecture.py"


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_table_of_imports_is_the_one_that_is_kept(language):
    text = (ROOT / "docs" / language / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, re.M)
    table = {room: set(re.findall(r"`(\w+)`", names)) for room, names in rows}
    assert table == {room: names for room, names in ALLOWED.items() if room != "__main__"}


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_what_it_says_to_read_is_there(language):
    text = (ROOT / "docs" / language / "architecture.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:mapllava|configs|tools|tests)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path
