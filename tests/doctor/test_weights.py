"""Pretrained weights: whole in a folder, broken there, or on a hub that answers or does not."""

import http.server
import json
import threading

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from mapllava.doctor import FAIL, OK, SKIP, weights
from mapllava.doctor.context import Context
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS
from mapllava.testing import write_tiny_blip2, write_tiny_llama
from tests.doctor.set_up import ROOT

HUB_ID = "nobody/no-such-model-9"


@pytest.fixture
def llama(set_up, tmp_path):
    """The set-up's language model in a folder, which the config names."""
    folder = write_tiny_llama(tmp_path / "llama")
    set_up.append(f"model['decoder'] = dict(pretrained='{folder}')")
    return folder


def report(set_up, name):
    (finding,) = (each for key, each in set_up.report("weights").items() if key.endswith(str(name)))
    return finding


def test_without_pretrained_weights_there_is_nothing_to_look_at(set_up):
    assert set_up.report("weights")["weights"].status == SKIP


def test_a_whole_folder(set_up, llama):
    finding = report(set_up, llama)
    assert finding.status == OK
    assert f"{llama}: llama, " in finding.reason
    assert "tensors, hash " in finding.reason


def test_one_model_for_two_parts_is_one_line(set_up, tmp_path):
    folder = write_tiny_blip2(tmp_path / "blip2")
    set_up.append(
        f"model['vision_encoder'] = dict(_delete_=True, type='Blip2VisionEncoder', pretrained='{folder}')"
    )
    set_up.append(f"model['neck'] = dict(qformer=dict(pretrained='{folder}'))")
    report_of = set_up.report("weights")
    assert {name: each.status for name, each in report_of.items() if name.startswith("weights")} == {
        f"weights {folder}": OK
    }


def shard(folder):
    """Make the file the first of two shards, of which the second is not there."""
    (whole,) = folder.glob("*.safetensors")
    first = whole.rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": first.name, "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


BREAKS = {
    "weight file": (lambda folder: next(folder.glob("*.safetensors")).unlink(), "no weight file in"),
    "config.json": (lambda folder: (folder / "config.json").unlink(), "no config.json in"),
    "shard": (shard, "names model-00002-of-00002.safetensors, which"),
}


@pytest.mark.parametrize(("damage", "message"), BREAKS.values(), ids=BREAKS)
def test_a_folder_that_lacks_something(damage, message, set_up, llama):
    damage(llama)
    finding = report(set_up, llama)
    assert finding.status == FAIL
    assert message in finding.reason
    assert finding.remedy == f"download {llama} again, all files of it"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_cut_short(name, set_up, llama):
    path = llama / name
    path.write_bytes(path.read_bytes()[:-100])
    finding = report(set_up, llama)
    assert finding.status == FAIL
    assert f"{path}' is " in finding.reason
    assert "cut short" in finding.reason


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def without(folder, key):
    tensors = load_file(folder / "model.safetensors")
    del tensors[key]
    save_file(tensors, str(folder / "model.safetensors"))


def to_pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 9\n")


REFUSED = {
    "a tensor is missing": (lambda f: without(f, "model.norm.weight"), "1 missing in the files: norm.weight"),
    "another shape": (lambda f: change(f, intermediate_size=48), "(64, 32), expected (48, 32)"),
    "more layers": (lambda f: change(f, num_hidden_layers=3), "9 missing in the files: layers.2."),
    "an encoder-decoder": (lambda f: change(f, model_type="t5"), "holds a t5, an encoder-decoder"),
    "unknown": (lambda f: change(f, model_type="of tomorrow"), "model_type 'of tomorrow' is not one of"),
    "GPTQ": (lambda f: change(f, quantization_config={"quant_method": "gptq"}), "quantised with gptq"),
    "LFS": (to_pointer, "model.safetensors' is a pointer of git LFS"),
}


@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED)
def test_what_training_refuses_the_doctor_refuses(damage, message, set_up, llama):
    """Both in the same words, for the same code says them."""
    damage(llama)
    finding = report(set_up, llama)
    assert finding.status == FAIL
    assert message in finding.reason
    with pytest.raises(MapLLaVAError) as error:
        MODELS.build(Context(str(set_up.config), (), (), 4).cfg.model)
    assert " ".join(str(error.value).split()) == finding.reason


def test_a_qformer_of_another_width(set_up, tmp_path):
    folder = write_tiny_blip2(tmp_path / "blip2")
    set_up.append(f"model['neck'] = dict(qformer=dict(pretrained='{folder}'))")
    finding = report(set_up, folder)
    assert finding.status == FAIL
    assert "reads features of 32 channels, the vision encoder gives 64" in finding.reason


def test_a_file_where_a_folder_belongs(set_up, llama):
    file = llama / "model.safetensors"
    set_up.append(f"model['decoder'] = dict(pretrained='{file}')")
    finding = report(set_up, file)
    assert finding.status == FAIL
    assert "is a file: name the model's folder" in finding.reason


def test_a_plug_ins_file_is_left_to_the_plug_in(set_up, tmp_path):
    (tmp_path / "resnet.pth").touch()
    (tmp_path / "own_encoder.py").write_text(
        "from mapllava.models.vision_encoders import ConvVisionEncoder\n"
        "from mapllava.registry import MODELS\n"
        "@MODELS.register_module(force=True)\n"
        "class OwnEncoder(ConvVisionEncoder):\n"
        "    def __init__(self, pretrained, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
    )
    set_up.append(f"model['vision_encoder'] = dict(type='OwnEncoder', pretrained='{tmp_path}/resnet.pth')")
    report_of = set_up.report("weights", plugins=[str(tmp_path / "own_encoder.py")])
    assert report_of[f"weights {tmp_path}/resnet.pth"].status == OK


def test_the_weights_of_another_model(set_up, tmp_path):
    folder = write_tiny_llama(tmp_path / "llama")
    set_up.append(f"model['neck'] = dict(qformer=dict(pretrained='{folder}'))")
    finding = report(set_up, folder)
    assert finding.status == FAIL
    assert f"{folder} (llama) has no tensor for model.neck.qformer" in finding.reason
    assert finding.remedy == "name the right model in 'pretrained'"


def prompt_of(set_up):
    return set_up.report("weights")["tokenizer model.decoder"]


def test_the_tokenizer_of_a_model(set_up, llama):
    set_up.append("model['decoder'].update(prompt='Draw the map around the car:')")
    finding = prompt_of(set_up)
    assert finding.status == OK, finding
    assert finding.reason == f"BPE of tokenizer.json in {llama}, 320 tokens, BOS 1; the prompt has 11"


TOKENIZERS = {
    "none": (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer"),
    "a pointer": (
        lambda folder: (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1"),
        "Git LFS pointer",
    ),
    "another BOS": (
        lambda folder: (folder / "special_tokens_map.json").write_text('{"bos_token": "</s>"}'),
        "bos_token_id 1",
    ),
}


@pytest.mark.parametrize(("damage", "message"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_that_training_would_refuse(damage, message, set_up, llama):
    for name in ("tokenizer_config.json",):
        (llama / name).unlink()
    damage(llama)
    report_of = set_up.report("weights", "step")
    finding = report_of["tokenizer model.decoder"]
    assert finding.status == FAIL
    assert message in finding.reason
    assert str(llama) in finding.reason
    assert report_of["step"].status == SKIP


def test_the_tokenizer_of_another_model(set_up, llama, tmp_path):
    other = write_tiny_llama(tmp_path / "other")
    settings = json.loads((other / "tokenizer.json").read_text())
    vocabulary = settings["model"]["vocab"]
    vocabulary["D"], vocabulary["r"] = vocabulary["r"], vocabulary["D"]
    (other / "tokenizer.json").write_text(json.dumps(settings))
    given = f"dict(type='HFTokenizer', pretrained='{other}')"
    set_up.append(f"model['decoder'].update(tokenizer={given}, prompt='rD')")
    report_of = set_up.report("weights")
    assert report_of[f"tokenizer {other}"].status == OK
    finding = report_of["tokenizer model.decoder"]
    assert finding.status == FAIL
    assert f"the model's own in {llama}" in finding.reason


def test_a_prompt_for_random_weights(set_up):
    assert prompt_of(set_up).reason.startswith("ByteTokenizer, 259 tokens, BOS 1; the prompt has ")
    set_up.append("model = dict(decoder=dict(prompt=''))")
    assert "model.decoder.prompt is ''" in prompt_of(set_up).reason


def test_the_tokenizer_of_a_parser(set_up, llama):
    set_up.config.write_text(f'_base_ = ["{ROOT.as_posix()}/configs/language/ask_synthetic.py"]\n')
    finding = set_up.report("weights")["tokenizer model"]
    assert finding.reason.startswith("ByteTokenizer, 259 tokens, BOS 1; the prompt has "), finding
    set_up.append(f"model = dict(language_model=dict(pretrained='{llama}'))")
    assert f"tokenizer.json in {llama}" in set_up.report("weights")["tokenizer model"].reason
    (llama / "special_tokens_map.json").write_text('{"bos_token": "</s>"}')
    (llama / "tokenizer_config.json").unlink()
    finding = set_up.report("weights")["tokenizer model"]
    assert (finding.status, "bos_token_id 1" in finding.reason) == (FAIL, True)


def test_a_folder_that_is_not_there(set_up):
    set_up.append("model['decoder'] = dict(pretrained='/weights/vicuna')")
    finding = report(set_up, "/weights/vicuna")
    assert finding.status == FAIL
    assert finding.reason == "'/weights/vicuna' is neither a folder here nor a hub id"
    assert "HF_ENDPOINT" in finding.remedy


def test_a_folder_that_a_command_makes(set_up, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    set_up.append("model['decoder'] = dict(pretrained='weights/smollm2')")  # of the form of a hub id
    finding = report(set_up, "weights/smollm2")
    assert (finding.status, finding.reason) == (FAIL, "not on this disk")
    assert "mapllava get smollm2" in finding.remedy


@pytest.fixture
def hub(monkeypatch):
    """A mirror on this machine whose answer a test chooses, and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        status = 200

        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(Handler.status)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield Handler, asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "verdict", "message"),
    [
        (200, OK, "the first run downloads it"),
        (404, FAIL, "knows no such model"),
        (401, FAIL, "wants a login (401)"),
    ],
)
def test_what_a_mirror_answers(status, verdict, message, hub, set_up):
    handler, asked = hub
    handler.status = status
    set_up.append(f"model['decoder'] = dict(pretrained='{HUB_ID}@v1')")
    report_of = set_up.report("weights", "step")
    finding = report_of[f"weights {HUB_ID}@v1"]
    assert asked == [f"/{HUB_ID}/resolve/v1/config.json"]
    assert finding.status == verdict
    assert message in finding.reason
    assert report_of["step"].status == (FAIL if verdict == OK else SKIP)  # nothing is downloaded
    assert verdict == FAIL or "must be downloaded first" in report_of["step"].reason


def test_a_hub_out_of_reach(set_up, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    set_up.append(f"model['decoder'] = dict(pretrained='{HUB_ID}')")
    finding = report(set_up, HUB_ID)
    assert finding.status == FAIL
    assert "http://127.0.0.1:9 is out of reach (" in finding.reason
    assert "export HF_ENDPOINT" in finding.remedy


def test_offline_is_said(set_up, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    set_up.append(f"model['decoder'] = dict(pretrained='{HUB_ID}')")
    assert "HF_HUB_OFFLINE is set" in report(set_up, HUB_ID).reason


def test_a_silent_server_is_not_waited_for(monkeypatch):
    silence = threading.Event()

    def wait(*args, **options):
        silence.wait(60)
        raise TimeoutError

    monkeypatch.setattr(weights.urllib.request, "urlopen", wait)
    assert weights.reach("http://somewhere", seconds=0.1) == "no answer within 0 s"
    silence.set()
