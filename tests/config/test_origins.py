"""Where a value of a config comes from, whatever way it took."""

from pathlib import Path

import pytest

from mapllava.config.origins import values_of

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = """\
width = 8
neck = dict(cell=0.5, sizes=[1, 2])
spare = dict(decoder=dict(kind='spare'))
read_by_plugins = [*'my loop copied spare neck width taken star nested last long'.split()]
map_spec = dict(frame='lidar', roi=[-1.0, -2.0, 1.0, 2.0], classes=['divider'])
my = dict(
    neck=neck,
    head={'num': width, 'kept': 3},
    steps=[dict(type_='A'), dict(type_='B')],
    gone=dict(old=1),
)
copied = my
"""
CHILD = """\
_base_ = ['./base.py']
head = dict(num=4)
my = dict(
    head=head,
    gone=dict(_delete_=True, **_base_.spare['decoder']),
)
loop = dict()
for name in ('a', 'b'):
    loop[name] = dict(value=1)
taken = dict(**_base_.my, more=1)
star = [*_base_.my.steps, dict(type_='C')]
nested = [[1, 2], [3, 4]]
last = {**_base_.neck, 'cell': 9}
long = [
    *_base_.my.steps,
    dict(type_='C'),
]
"""


@pytest.fixture
def origins(tmp_path, monkeypatch):
    """Writes the two configs; gives each value's origin by key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text(BASE)

    def origins(child=CHILD, name="child.py", **options):
        (tmp_path / name).write_text(child)
        return {each.where: each.origin for each in values_of(tmp_path / name, options)}

    return origins


@pytest.mark.parametrize(
    ("key", "origin"),
    [
        ("map_spec.roi", "base.py:5"),
        ("my.neck.cell", "base.py:2"),  # through a variable
        ("my.neck.sizes", "base.py:2"),
        ("my.head.num", "child.py:2"),
        ("my.head.kept", "base.py:8"),  # another key of the same dict
        ("my.steps.1.type_", "base.py:9"),
        ("my.gone.kind", "base.py:3"),  # _delete_, and through **_base_.…['…']
        ("copied.head.num", "base.py:8"),  # the base's own, not the child's
        ("loop.a.value", "child.py:7"),
        ("taken.more", "child.py:10"),
        ("taken.head.num", "base.py:8"),
        ("star.0.type_", "child.py:11"),
        ("nested.1", "child.py:12"),
        ("last.cell", "child.py:13"),
        ("last.sizes", "base.py:2"),
        ("long.1.type_", "child.py:14"),  # of the list as a whole, which begins with another
        ("default_scope", "filled in at build time"),
        ("randomness.seed", "filled in at build time"),
    ],
)
def test_the_line_that_a_value_was_written_in(key, origin, origins):
    assert origins()[key] == origin


def test_the_command_line_is_named_for_what_it_gave_and_no_more(origins):
    found = origins(**{"my.neck": {"cell": 2.0}, "map_spec.roi": [-3, -2, 3, 2], "my.steps.0.type_": "D"})
    assert {key for key, origin in found.items() if origin == "command line"} == {
        "my.neck.cell", "map_spec.roi", "my.steps.0.type_",
    }  # fmt: skip
    assert found["my.neck.sizes"] == "base.py:2"


def test_what_is_filled_in_names_its_source(monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    found = {each.where: each for each in values_of(CONFIGS / "stage2" / "synthetic.py", {"data_root": "/x"})}
    cell = found["train_dataloader.dataset.pipeline.4.cell"]
    assert (cell.value, cell.origin) == (1.0, "filled in at build time from model.neck.cell")
    assert found["model.map_spec.frame"].origin == "filled in at build time from map_spec"
    assert found["param_scheduler.1.end"].origin == "filled in at build time from train_cfg.max_epochs"
    assert found["val_dataloader.dataset.data_root"].origin == "command line: data_root"
    place, _, line = found["model.neck.cell"].origin.rpartition(":")
    assert Path(place) == (CONFIGS / "_base_/models/tiny.py").relative_to(Path.cwd())
    assert "cell=1.0" in Path(place).read_text().splitlines()[int(line) - 1]


def test_files_without_lines_are_named(origins):
    found = origins('{"_base_": ["./base.py"], "my": {"head": {"num": 4}}}', "child.json")
    assert (found["my.head.num"], found["my.head.kept"]) == ("child.json", "base.py:8")
    found = origins("_base_: [./base.py]\nmy: {head: {num: 4}}", "child.yaml")
    assert (found["my.head.num"], found["my.head.kept"]) == ("child.yaml", "base.py:8")


def test_configs_that_import_their_bases(origins):
    found = origins(
        "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
        "my.update(head=dict(num=5))\ntaken = dict(**neck, more=1)\nneck = dict(**neck, new=1)"
    )
    assert found["taken.more"] == "child.py:5"
    assert found["taken.cell"] == found["neck.cell"] == "base.py:2", "not the child's, made of itself"
    assert found["my.head.num"] == "child.py:4"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("stage*/*.py")), ids=lambda path: path.stem)
def test_every_value_of_a_shipped_config_has_an_origin(path):
    """A line that holds the value's key, or makes it of another's."""
    for each in values_of(path):
        file, _, line = each.origin.partition(":")
        if line:
            text = Path(file).read_text().splitlines()[int(line) - 1]
            assert "=" in text or "dict(" in text or "_base_" in text, each
        else:
            assert each.origin.startswith("filled in at build time"), each
