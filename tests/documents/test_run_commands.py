"""Every command of the documents runs with small sizes or is skipped for a reason; quick ones run here."""

import re

import pytest
from filelock import FileLock

from tests.documents.blocks import Command
from tests.documents.run_commands import RUNS, Scratch, chosen, is_quick, reason_to_skip, small

COMMANDS = chosen([])
PLACEHOLDER = re.compile(r"…|(?<![\w./$-])[A-Z][A-Z_]+(?![\w=])|\[[A-Z-]|=?/(path|weights|data)/")


@pytest.mark.parametrize("command", COMMANDS, ids=[command.where for command in COMMANDS])
def test_somebody_has_decided_how_a_command_is_run(command):
    """A new command: RUNS and SMALL, or SKIPPED, in run_commands.py."""
    if reason_to_skip(command):
        return
    text = small(command)
    assert re.search(RUNS, command.text), "nobody has looked whether it runs"
    assert not PLACEHOLDER.search(text), "a placeholder stands for nothing"
    if re.search(r"train\S* configs/stage\d/(?!synthetic)", text):
        assert "max_epochs=1" in text, "a training at full size"


@pytest.mark.parametrize(
    "text", ["python tools/test.py CONFIG OURS/model.pth x", "python tools/new.py", "ls …"]
)
def test_a_command_that_nobody_looked_at_is_noticed(text):
    with pytest.raises(AssertionError):
        test_somebody_has_decided_how_a_command_is_run(Command("page.md", 1, text))


@pytest.fixture(scope="session")
def scratch(shared_folder) -> Scratch:
    folder = shared_folder / "documents"
    scratch = Scratch(folder)
    with FileLock(f"{folder}.lock"):
        if not (folder / "submission_vector.json").is_file():
            scratch.make()
    return scratch


QUICK = [command for command in COMMANDS if is_quick(command)]


@pytest.mark.parametrize("command", QUICK, ids=[command.where for command in QUICK])
def test_a_quick_command_does_what_its_page_says(command, scratch):
    status, output = scratch.run(small(command))
    assert status == command.status, output
