import json
import os

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, read_json_object, safe_name, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_at_the_end_and_alone(tmp_path):
    path = tmp_path / "new" / "a.bin"
    with atomic_write(path) as partial:
        partial.write_bytes(b"content")
        assert partial.parent == path.parent
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert names(path.parent) == ["a.bin"]


def test_new_files_have_the_rights_that_open_gives(tmp_path):
    (tmp_path / "plain").write_text("")
    assert write_json(tmp_path / "a.json", 1).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_what_is_raised_while_writing_leaves_the_older_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with atomic_write(path) as partial:
            partial.write_text("ne")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_it_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda *a: done.append("fsync") or fsync(*a))
    monkeypatch.setattr(os, "replace", lambda *a: done.append("replace") or replace(*a))
    write_json(tmp_path / "a.json", {})
    assert done == ["fsync", "replace", "fsync"], "the file, then its name in the folder"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_is_named(tmp_path, monkeypatch, call):
    path = write_json(tmp_path / "a.json", "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(MapLLaVAError, match=r"a\.json' cannot be written: No space left on device"):
        write_json(path, "new")
    assert json.loads(path.read_text()) == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MapLLaVAError, match=r"file/a\.json' cannot be written"):
        write_json(tmp_path / "file" / "a.json", 1)


def test_numbers_of_numpy_are_plain_and_other_things_are_refused(tmp_path):
    path = write_json(tmp_path / "a.json", {"a": np.float32(0.5), "b": np.int64(3), "c": "ü"})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": 3, "c": "ü"}
    with pytest.raises(TypeError, match="is a set, which JSON does not know"):
        write_json(path, {1, 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, [float("nan")], allow_nan=False)
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"a": {"b": 1, "b": 2}}', "'b' twice.*take one"),
        ("[1]", "must hold a JSON object, not a list"),
        ("{", "is not JSON"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_object_of_keys_that_come_once_is_named(tmp_path, text, wrong):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MapLLaVAError, match=rf"record '.*a\.json'.*{wrong}"):
        read_json_object(path, "record")
    path.write_text('\ufeff{"a": [1]}', encoding="utf-8")
    assert read_json_object(path) == {"a": [1]}


def test_any_token_is_the_name_of_a_file(tmp_path):
    taken = set()
    tokens = ["../../up", "..", "", "a/b", "a b", "a_b", "图" * 300, ".hidden"]
    names = [safe_name(token, taken) for token in tokens]
    assert len(set(names)) == len(tokens)
    for name in names:
        (tmp_path / f"{name}.png").touch()
    assert len(list(tmp_path.glob("[!.]*.png"))) == len(tokens)
