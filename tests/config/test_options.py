"""``--cfg-options``: what a text means, and where it goes."""

import argparse

import pytest
from mmengine.config import Config

from mapllava.config.options import OptionsAction, apply_options, read_value
from mapllava.errors import MapLLaVAError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4), ("1e-4", 1e-4), ("true", True), ("None", None), ("null", None), ("bfloat16", "bfloat16"),
        ("{bits:4}", {"bits": 4}), ("{'bits': 4}", {"bits": 4}),
        ('{"bits": 4, "on": true}', {"bits": 4, "on": True}),
        ("dict(bits=4, compute_dtype='bfloat16')", {"bits": 4, "compute_dtype": "bfloat16"}),
        ("dict(a=dict(b=[1, (2, 3)]))", {"a": {"b": [1, (2, 3)]}}),
        ("[dict(type='EMAHook', priority=LOW)]", [{"type": "EMAHook", "priority": "LOW"}]),
        ("-25.,-50.,25.,50.", [-25.0, -50.0, 25.0, 50.0]), ("a,b", ["a", "b"]),
        ("[data/a-v1.0.pkl]", ["data/a-v1.0.pkl"]),
        ("'1,2'", "1,2"), ("Dividers, crossings and roads.", "Dividers, crossings and roads."),
        ("/run=1/(x).pth", "/run=1/(x).pth"), ("[]", []), ("dict()", {}),
    ],
)  # fmt: skip
def test_texts_become_values(text, value):
    read = read_value(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    ["{bits:4", "[1,2", "dict(bits)", "{bits 4}", "'x", "[1]]", "dict(4=3)", "[1,,2]", "{a:1}{b:2}", "a,[b"],
)
def test_what_begins_like_a_value_and_is_none_is_an_error_that_names_the_option(text, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit) as status:
        parser.parse_args(["--cfg-options", f"model.decoder.quantization={text}"])
    assert status.value.code == 2
    assert "--cfg-options: model.decoder.quantization: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["batch_size"], "'batch_size' is no KEY=VALUE"),
        (["q=bits:4", "q=dtype:x"], "q is given twice: keep one; a shell"),
    ],
)
def test_words_that_are_no_options(words, message, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", *words])
    assert message in capsys.readouterr().err


def config():
    model = {
        "frozen": True,
        "lora": None,
        "steps": [{"type": "A", "x": 1}, {"type": "B"}],
        "size": 3,
        "name": "a",
    }
    return Config({"model": model, "evaluator": [{"type": "M"}]})


@pytest.mark.parametrize(
    ("key", "value", "at", "there"),
    [
        ("model.lora", {"rank": 4}, "lora", {"rank": 4}),
        ("model.lora.rank", 4, "lora", {"rank": 4}),
        ("model.quantization", {"bits": 4}, "quantization", {"bits": 4}),
        ("model.steps.0.x", 2, "steps", [{"type": "A", "x": 2}, {"type": "B"}]),
        ("model.steps.1", {"y": 5}, "steps", [{"type": "A", "x": 1}, {"type": "B", "y": 5}]),
        ("model.steps", {"type": "C"}, "steps", {"type": "C"}),
        ("model.size", None, "size", None),
        ("model.steps", 3, "steps", 3),
    ],
)  # fmt: skip
def test_options_reach_their_place(key, value, at, there):
    cfg = config()
    apply_options(cfg, {key: value})
    assert cfg.model.to_dict()[at] == there


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.frozen", "no", "'no' is a text: write True or False"),
        ("model.size", "3x", "the config has 3 there"),
        ("model.steps.7.x", 1, "'7' is no place in a list of 2"),
        ("model.name.x", 1, "above 'x' the config has 'a'"),
        ("model", "A", "the config has a dict there: write 'model=dict(…)'"),
        ("evaluator", "M", "the config has a list there: write 'evaluator=[…]'"),
        ("custom_imports.imports", ["no_such_module_9"], "no_such_module_9"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(key, value, message):
    with pytest.raises(MapLLaVAError, match="--cfg-options") as error:
        apply_options(config(), {key: value})
    assert key.partition(".")[0] in str(error.value)
    assert message in str(error.value)


def test_custom_imports_of_the_command_line_are_imported(tmp_path, monkeypatch):
    (tmp_path / "imported_by_option.py").write_text("HERE = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import sys

    assert "imported_by_option" not in sys.modules
    apply_options(config(), {"custom_imports": {"imports": ["imported_by_option"]}})
    assert "imported_by_option" in sys.modules


def test_names_that_python_would_read_as_numbers_stay_texts():
    for text in ("20261128_1200", "007", "1_000"):
        assert read_value(text) == text
    assert [read_value(text) for text in ("-3", "1e5", ".5", "1.", "0")] == [-3, 1e5, 0.5, 1.0, 0]


def test_a_key_twice_in_a_dict_is_refused():
    for text in ("dict(a=1,a=2)", "{a: 1, a: 2}"):
        with pytest.raises(ValueError, match="a is given twice"):
            read_value(text)
