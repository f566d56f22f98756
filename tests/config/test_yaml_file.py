"""Configs in YAML, JSON and Python that cannot be read, or would run something."""

import pytest

from mapllava.config.read import read_config
from mapllava.errors import MapLLaVAError


def read(path):
    return read_config(path)


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_yaml_config_runs_nothing_also_as_a_base(tmp_path, suffix):
    mark, evil, child = tmp_path / "ran", tmp_path / f"evil.{suffix}", tmp_path / "child.yaml"
    evil.write_text(f"x: !!python/object/apply:os.system ['touch {mark}']\n")
    child.write_text(f"_base_: {evil}\n")
    for path in (evil, child):
        with pytest.raises(MapLLaVAError, match=f"{path.name}' cannot be read"):
            read(path)
    assert not mark.exists()


def test_a_plain_yaml_config_is_read(tmp_path):
    (tmp_path / "base.yaml").write_text("model: {type: MapLLaVA}\n")
    (tmp_path / "child.yaml").write_text("_base_: base.yaml\nwork_dir: there\n")
    cfg = read(tmp_path / "child.yaml")
    assert (cfg.model.type, cfg.work_dir) == ("MapLLaVA", "there")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "a: [1\nb: {"),
        ("a.json", "{"),
        ("zero.py", "x = 1 / 0"),
        ("self.py", "_base_ = ['self.py']"),
        ("mixed.py", "import numpy\n_base_ = ['b.py']\nx = numpy.pi"),
        ("away.py", "_base_ = ['away_base.py']"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / "b.py").write_text("y = 1")
    with pytest.raises(MapLLaVAError, match=f"{name}' cannot be read"):
        read(tmp_path / name)
