"""The loop: nothing that a check meets ends it, and what rests on a failure is skipped."""

import logging
import sys

import pytest

from mapllava.doctor import FAIL, OK, SKIP, Check, Context, examination
from mapllava.doctor.examination import CHECKS, examine, select
from mapllava.errors import MapLLaVAError


def check(name, *needs, group="data"):
    return Check(name, group, f"{name}_module:run", needs)


@pytest.fixture
def modules(monkeypatch):
    """``modules(a=function)``: what the check called a runs."""

    def install(**functions):
        def load(name):
            key = name.removeprefix("mapllava.doctor.").removesuffix("_module")
            return type("Module", (), {"run": staticmethod(functions[key])})

        monkeypatch.setattr(examination.importlib, "import_module", load)

    return install


def raising(error):
    def run(context):
        yield examination.Finding("first", OK, "before it broke")
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (ImportError("no libgomp", name="torch._C"), "ImportError: no libgomp", "install torch again"),
        (OSError("libcudart.so.13"), "OSError: libcudart.so.13", "the file or library is there"),
        (RuntimeError("broken\nin two lines"), "RuntimeError: broken in two lines", "--skip a"),
        (SystemExit(4), "SystemExit: 4", "--skip a"),
        (
            MapLLaVAError("cache is stale. Rebuild it:\n  do this\n    and that"),
            "cache is stale",
            "do this\n",
        ),
    ],
)
def test_whatever_is_raised_is_a_line(error, reason, remedy, modules):
    modules(a=raising(error), b=lambda context: [examination.Finding("b", OK, "fine")])
    found = [finding for _, finding in examine(Context(), [check("a"), check("b")])]
    assert [finding.status for finding in found] == [OK, FAIL, OK]
    assert reason in found[1].reason
    assert "Rebuild" not in found[1].reason
    assert remedy in found[1].remedy


def test_a_stopped_user_is_not_a_finding(modules):
    modules(a=raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        list(examine(Context(), [check("a")]))


def test_what_needs_a_failed_check_is_skipped_and_so_on(modules):
    modules(a=raising(OSError("gone")), b=lambda context: [], c=lambda context: [], d=lambda context: [])
    chosen = [check("a"), check("b", "a"), check("c", "b"), check("d", "left_out")]
    found = {each.name: finding for each, finding in examine(Context(), chosen)}
    assert found["b"].status == SKIP
    assert found["b"].reason == "not looked at: a failed"
    assert found["c"].reason == "not looked at: neither was b"
    assert found["d"].reason == "nothing to look at"


def test_an_unusable_package_blocks_all_but_the_environment(modules):
    modules(a=lambda context: [], b=lambda context: [])
    chosen = [check("a", group="environment"), check("b")]
    found = {each.name: finding for each, finding in examine(Context(unusable=["torch"]), chosen)}
    assert found["a"].reason == "nothing to look at"
    assert found["b"].reason == "not looked at: torch failed"


def test_chatter_of_libraries_is_not_shown(modules, capsys, caplog):
    def run(context):
        sys.stdout.write("chatter")
        sys.stderr.write("chatter")
        logging.getLogger("someone").error("chatter")
        yield examination.Finding("a", OK, "fine")

    modules(a=run)
    list(examine(Context(), [check("a")]))
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    logging.getLogger("someone").error("heard again")
    assert caplog.records


def test_selection_by_check_and_group():
    assert {each.group for each in select(config=False)} == {"environment"}
    assert len(select(config=True)) == len(CHECKS)
    assert [each.name for each in select(True, only=["weights", "keys"])] == ["keys", "weights"]
    assert "step" not in {each.group for each in select(True, skip=["step"])}


def test_every_need_is_a_check_made_earlier_or_a_package():
    seen = {"torch"}
    for each in CHECKS:
        assert set(each.needs) <= seen
        seen.add(each.name)
