"""The command ``mapllava`` and the files of tools/ are doors to the same functions."""

import argparse
import re
import runpy
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

from mapllava.__main__ import COMMANDS, RENAMED, main, set_up
from mapllava.version import __version__

ROOT = Path(__file__).parents[2]


def test_every_module_with_a_command_is_listed_and_the_other_way_round():
    named = {re.sub("[ -]", "_", name) for name in COMMANDS}
    modules = (ROOT / "mapllava" / "cli").glob("*.py")
    assert named == {path.stem for path in modules if "\ndef run(" in path.read_text(encoding="utf-8")}


def test_every_old_name_leads_to_commands_and_has_its_tool(capsys):
    for old, new in RENAMED.items():
        assert set(re.split(", | or ", new)) <= set(COMMANDS)
        assert (ROOT / "tools" / f"{old.replace('-', '_')}.py").is_file()
        assert main([old, "x"]) == 2
        assert f"mapllava {old} is called mapllava {new} now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "words"),
    [("eval_results", ["eval"]), ("gt_cache", ["cache", "lint"]), ("print_config", ["configs", "show"])],
)
def test_the_tools_help_is_the_commands(tool, words, capsys, monkeypatch):
    within = words[1:] if tool == "gt_cache" else []
    path = str(ROOT / "tools" / f"{tool}.py")
    monkeypatch.setattr(sys, "argv", [path, *within, "--help"])
    for run in (partial(main, [*words, "--help"]), partial(runpy.run_path, path, run_name="__main__")):
        with pytest.raises(SystemExit) as status:
            run()
        assert status.value.code == 0
    ours, theirs = re.split("(?=usage:)", capsys.readouterr().out)[1:]
    names = (" ".join(["mapllava", *words]), " ".join(["python", path, *within]))
    assert f"{names[0]} " in ours
    assert " ".join(theirs.split()) == " ".join(ours.replace(*names).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_the_command_takes(name):
    """The command line is read; nothing is run."""
    parser = argparse.ArgumentParser(prog=f"mapllava {name}", exit_on_error=False)
    module = set_up(parser, name)
    _, _, examples = re.split(r"^(examples?:)$", parser.format_help(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", examples).splitlines() if line]
    assert lines
    assert all(line.startswith("  ") for line in lines), "something stands behind the examples"
    for line in lines:
        words = shlex.split(line.partition(">")[0])
        assert words[: 1 + len(name.split())] == ["mapllava", *name.split()]
        read = parser.parse_intermixed_args if hasattr(module, "INTERMIXED") else parser.parse_args
        read(words[1 + len(name.split()) :])


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mapllava {__version__}\n"
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    with pytest.raises(SystemExit) as status:
        main(["cache", "--help"])
    assert status.value.code == 0
    assert "constant-map" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "did you mean mapllava train?"),
        (["cahce", "show"], "did you mean mapllava cache show"),
        (["lint", "x.pkl"], "did you mean mapllava cache lint"),
        (["frobnicate"], "mapllava --help lists"),
        ([], "usage: mapllava COMMAND"),
    ],
)
def test_what_is_no_command_is_refused_with_the_near_ones(words, meant, capsys):
    assert main(words) == 2
    assert meant in capsys.readouterr().err


def test_a_word_that_is_none_of_a_commands_is_refused_with_the_list(capsys):
    for words in (["cache", "shwo"], ["cache"]):
        with pytest.raises(SystemExit) as status:
            main(words)
        assert status.value.code == 2
        assert "mapllava cache" in capsys.readouterr().err
