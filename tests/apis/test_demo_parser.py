"""The request parser in the package: what it holds, what it reads, and what it needs."""

import pytest

from mapllava.__main__ import run_command
from mapllava.apis import demo_files, load_parser
from mapllava.checkpoint import read_model_file
from mapllava.published import default_folder

QUESTION = "How far is the next crossing?"


def test_the_file_is_an_adapter_alone_and_names_the_language_model_that_get_makes():
    file = read_model_file(demo_files.parser_file())
    assert file.state
    assert all(".ask." in name for name in file.state)
    assert file.meta["full_config"]["model"]["language_model"]["pretrained"] == str(default_folder("smollm2"))
    assert demo_files.parser_file().stat().st_size < 10_000_000


def test_without_the_language_model_it_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command("ask", ["--demo", QUESTION, "--parser", "demo"]) == 2
    assert "mapllava get smollm2" in capsys.readouterr().err


def test_a_question_in_words_is_answered_from_the_demos_map(smollm2, tmp_path, monkeypatch, capsys):
    (tmp_path / default_folder("smollm2")).parent.mkdir()
    (tmp_path / default_folder("smollm2")).symlink_to(smollm2.resolve())
    monkeypatch.chdir(tmp_path)
    assert run_command("ask", ["--demo", QUESTION, "--parser", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "understood as distance: ped_crossing; ahead" in shown
    assert run_command("ask", ["--demo", "distance: ped_crossing; ahead"]) == 0
    canonical = capsys.readouterr().out
    assert canonical.splitlines()[1] in shown  # the same answer


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (QUESTION, "distance: ped_crossing; ahead"),
        ("How many lane dividers are there on the left?", "count: divider; left"),
        ("Is there a crossing within 15 m?", "exists: ped_crossing; within 15 m"),
        ("Draw the crossings ahead.", "draw: ped_crossing; ahead"),
        ("crossings and road edges within 20 m ahead", "draw: ped_crossing, boundary; ahead; within 20 m"),
        ("前方的人行横道有多远？", "distance: ped_crossing; ahead"),
    ],
)
def test_it_reads_english_and_chinese(parser, text, canonical):
    ((read),) = parser.parse([text])
    assert read.canonical == canonical
    assert read.requests


def test_what_asks_nothing_about_the_map_is_refused(parser):
    (read,) = parser.parse(["How many trees are there on the left?"])
    assert not read.requests


@pytest.fixture(scope="module")
def parser(smollm2):
    return load_parser(demo_files.parser_file(), "cpu", pretrained=smollm2)
