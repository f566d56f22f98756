"""A bar on a terminal; in a file nothing but the log's lines."""

import io
import logging
import re
import sys

from toy import toy_config

from mapllava.engine import build_runner


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(tmp_path, monkeypatch, stdout, stderr):
    """Train with these streams; their texts and the log file's lines."""
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    cfg = toy_config(tmp_path, epochs=2)
    cfg.log_level = "INFO"
    cfg.log_processor = {"type": "MapLogProcessor"}
    cfg.custom_hooks += [{"type": "ProgressBarHook"}]
    runner = build_runner(cfg)
    before = [getattr(handler, "stream", None) for handler in runner.logger.handlers]
    runner.train()
    assert [getattr(handler, "stream", None) for handler in runner.logger.handlers] == before
    (file,) = tmp_path.glob("*/*.log")
    lines = [line for line in file.read_text().splitlines() if "Epoch [" in line]
    assert len(lines) == 8
    return stdout.getvalue(), stderr.getvalue(), [line.split(" - ")[-1] for line in lines]


def test_away_from_a_terminal_there_is_no_bar(tmp_path, monkeypatch):
    out, err, lines = run(tmp_path, monkeypatch, io.StringIO(), io.StringIO())
    assert "━" not in out + err
    assert "\x1b[" not in err
    assert all(f"{line}\n" in out for line in lines)


def test_on_a_terminal_the_bar_stands_below_whole_lines(tmp_path, monkeypatch):
    screen = Terminal()
    text, _, lines = run(tmp_path, monkeypatch, screen, screen)
    assert "━" in text
    assert "Epoch 1/2" in text
    assert "Epoch 2/2" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    for line in lines:
        assert f"{line}\n" in plain, "longer than the terminal is wide, and in one piece"
    assert "\x1b[?25h" in text, "the cursor is back"


def test_lines_that_go_to_a_file_stay_there_while_the_bar_is_on_stderr(tmp_path, monkeypatch):
    out, err, lines = run(tmp_path, monkeypatch, io.StringIO(), Terminal())
    assert all(f"{line}\n" in out for line in lines)
    assert "━" not in out
    assert "━" in err
    assert not any(line in err for line in lines)


def test_log_handlers_get_their_stream_back_when_training_fails(tmp_path, monkeypatch):
    from mapllava.engine.hooks import ProgressBarHook

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    logger = logging.Logger("bar")
    handler = logging.StreamHandler(screen)
    logger.addHandler(handler)
    hook = ProgressBarHook()

    class Runner:
        pass

    runner = Runner()
    runner.logger = logger
    hook.before_run(runner)
    assert handler.stream is not screen
    hook._stop()
    assert handler.stream is screen
    assert "\x1b[?25h" in screen.getvalue()
