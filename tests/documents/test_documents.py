"""Every command and config snippet of the documents names what is there, the same in both languages."""

import ast
import contextlib
import re
import runpy
import shlex
import sys

import pytest

from mapllava.cli.command_line import add_run_options, config_of
from tests.documents.blocks import PAIRS, ROOT, all_commands, blocks

PAGES = [page for page, _ in PAIRS]
COMMANDS = all_commands()
SNIPPETS = [block for page in PAGES for block in blocks(page, "python")]
# a config full of slips; two that name a part of their page, which test_extend.py and test_change.py register
ELSEWHERE = ("docs/en/doctor.md", "docs/en/extend.md", "docs/en/change.md")


def tool_of(words):
    """The repository's file that a command runs, or None."""
    return next(
        (word for word in words if re.match(r"(tools|benchmarks|examples)/\S+\.(py|sh)$", word)), None
    )


@pytest.mark.parametrize(("page", "other"), PAIRS, ids=[page.name for page, _ in PAIRS])
def test_both_languages_show_the_same_commands(page, other):
    ours, theirs = (
        [(command.text, command.status) for block in blocks(path, "bash") for command in block.commands]
        for path in (page, other)
    )
    assert ours == theirs


@pytest.mark.parametrize("command", COMMANDS, ids=[command.where for command in COMMANDS])
def test_a_command_names_files_and_configs_that_are_there(command):
    for word in shlex.split(command.text):
        path = word.partition("{")[0]
        if re.match(r"(tools|benchmarks|examples|configs|requirements)/", path):
            assert list(ROOT.glob(f"{path}*")), f"{command.where} names {word}"


@pytest.fixture(scope="module")
def options_of():
    """The help of a command, made once, in this process."""
    found = {}

    def options(path, *words):
        if (path, *words) not in found:
            found[path, *words] = _help(path, words)
        return found[path, *words]

    return options


def _help(path, words):
    import io

    before, text = sys.argv, io.StringIO()
    sys.argv = [path, *words, "--help"]
    sys.path.insert(0, str((ROOT / path).parent))
    try:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            runpy.run_path(str(ROOT / path), run_name="__main__")
    finally:
        sys.argv = before
        sys.path.pop(0)
    return text.getvalue()


PYTHON = [command for command in COMMANDS if (tool_of(shlex.split(command.text)) or "").endswith(".py")]


@pytest.mark.parametrize("command", PYTHON, ids=[command.where for command in PYTHON])
def test_a_command_has_the_options_that_a_document_gives_it(command, options_of):
    words = shlex.split(command.text)
    path = tool_of(words)
    rest = words[words.index(path) + 1 :]
    subcommand = [rest[0]] if path in ("tools/gt_cache.py", "tools/convert_checkpoint.py") else []
    known = options_of(path, *subcommand)
    for word in rest:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word.partition('=')[0])}\b", known), (
                f"{command.where}: {path} {word}"
            )


VERBS = [command for command in COMMANDS if re.match(r"(\w+=\S+ )*mapllava [a-z]", command.text)]


@pytest.mark.parametrize("command", VERBS, ids=[command.where for command in VERBS])
def test_a_verb_is_one_and_has_its_options(command, capsys):
    from mapllava.__main__ import COMMANDS as KNOWN
    from mapllava.__main__ import main

    words = shlex.split(command.text.partition("mapllava ")[2])
    verb = words[:2] if " ".join(words[:2]) in KNOWN else words[:1]
    assert " ".join(verb) in KNOWN, f"{command.where}: mapllava {' '.join(verb)}"
    with contextlib.suppress(SystemExit):
        main([*verb, "--help"])
    known = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word.partition('=')[0])}\b", known), f"{command.where}: {word}"


@pytest.mark.parametrize("block", SNIPPETS, ids=[f"{b.page}:{b.line}" for b in SNIPPETS])
def test_a_python_snippet_is_python(block):
    ast.parse(block.text)


CONFIGS = [
    b
    for b in SNIPPETS
    if re.search(r'_base_ = (\["configs/|"mapllava::)', b.text) and b.page not in ELSEWHERE
]


@pytest.mark.parametrize("block", CONFIGS, ids=[f"{b.page}:{b.line}" for b in CONFIGS])
def test_a_config_snippet_is_a_config_without_a_mistake(block, tmp_path):
    import argparse

    path = tmp_path / "snippet.py"
    path.write_text(block.text.replace('"configs/', f'"{ROOT.as_posix()}/configs/'), encoding="utf-8")
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_run_options(parser)
    config_of(parser.parse_args([str(path)]))


OPTIONS = [command for command in PYTHON if re.search("configs/.* --cfg-options", command.text)]


@pytest.mark.parametrize("command", OPTIONS, ids=[command.where for command in OPTIONS])
def test_config_options_of_a_document_reach_something(command):
    import argparse

    words = shlex.split(command.text)
    config = next(word for word in words if word.startswith("configs/"))
    after = words[words.index("--cfg-options") + 1 :]
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_run_options(parser)
    config_of(parser.parse_args([str(ROOT / config), "--cfg-options", *after]))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_doctors_report_of_slips_is_what_it_prints(language, tmp_path, monkeypatch, capsys):
    from mapllava.__main__ import main

    page = ROOT / "docs" / language / "doctor.md"
    snippet = next(block for block in blocks(page, "python") if "optim_wraper" in block.text)
    shown = next(block for block in blocks(page, "text") if "key optim_wraper" in block.text)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "slips.py").write_text(snippet.text)
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "slips.py", "--only", "config", "step"]) == 1
    assert capsys.readouterr().out == shown.text


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_page_of_configs_shows_what_is_printed(language, tmp_path, monkeypatch, capsys):
    """Line numbers aside, which move with the configs."""
    from mapllava.__main__ import run_command
    from mapllava.config.read import load_config
    from mapllava.errors import MapLLaVAError

    page = ROOT / "docs" / language / "configs.md"
    refused, shown = (block.text for block in blocks(page, "text"))
    slip = next(block.text for block in blocks(page, "python") if block.text.startswith("data_root"))
    (command,) = (c for block in blocks(page, "bash") for c in block.commands if "print_config" in c.text)
    monkeypatch.chdir(ROOT)
    assert run_command("configs show", shlex.split(command.text)[2:]) == 0
    assert re.sub(r":\d+\n", "\n", capsys.readouterr().out) == re.sub(r":\d+\n", "\n", shown)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(f"_base_ = ['{ROOT}/configs/stage2/synthetic.py']\n{slip}")
    with pytest.raises(MapLLaVAError) as error:
        load_config("mine.py")
    assert f"error: {error.value}\n" == refused
