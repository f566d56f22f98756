"""The page on parts of one's own: its code runs, and it knows every check and every example."""

import re

import pytest
import torch

from mapllava import testing
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec
from tests.documents.blocks import ROOT, blocks

PAGES = [ROOT / "docs" / language / "extend.md" for language in ("en", "zh_CN")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_its_code_runs_and_its_loss_is_applied(page, tmp_path):
    first, config, check = (block.text for block in blocks(page, "python"))
    names: dict = {}
    exec(compile(first, str(page), "exec"), names)
    try:
        exec(compile(check, str(page), "exec"), names)
        path = tmp_path / "config.py"
        path.write_text(config.replace("configs/", f"{ROOT.as_posix()}/configs/"))
        cfg = resolve(load_config(path))
        given = dict(map_spec=MapSpec(), num_points=20, num_instances=5, bev_dims=0)
        criterion = MODELS.build({**cfg.model.head.criterion.to_dict(), **given})
        assert type(criterion.losses["chamfer"]).__name__ == "ChamferLoss"
    finally:
        MODELS.module_dict.pop("ChamferLoss")
    same = torch.zeros(1, 20, 2)
    assert float(names["ChamferLoss"](1.0)(same, same)) == pytest.approx(1e-3, abs=1e-6)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_it_names_every_check_and_every_example(page):
    text = page.read_text(encoding="utf-8")
    checks = {name for name in testing.__all__ if name.startswith("check_")}
    assert set(re.findall(r"`(check_\w+)`", text)) == checks
    files = {path.name for path in (ROOT / "examples/plugin_package/mapllava_example").glob("[a-z]*.py")}
    assert files <= set(re.findall(r"`(\w+\.py)`", text))
