"""Nothing in a file that somebody sent is executed, whichever door it comes through.

Every payload touches a mark when it is run. What each door does with it besides, load or refuse, is its own
matter; the message of a refusal is one for users.
"""

import contextlib
import copy
import json
import os
import pickle
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]

from tiny import SPEC, tiny_config, write_run  # noqa: E402
from toy import toy_config  # noqa: E402

import mapllava  # noqa: E402
from mapllava import gt_cache  # noqa: E402
from mapllava.__main__ import run_command  # noqa: E402
from mapllava.analysis.diagnosis import open_checkpoint  # noqa: E402
from mapllava.analysis.run.run_record import read_run  # noqa: E402
from mapllava.checkpoint import write_model_file  # noqa: E402
from mapllava.checkpoint.model_file import FORMAT_VERSION  # noqa: E402
from mapllava.checkpoint.plain_state import plain_config  # noqa: E402
from mapllava.doctor.settings import start  # noqa: E402
from mapllava.engine import build_runner  # noqa: E402
from mapllava.engine.runner.resume import resume_point  # noqa: E402
from mapllava.errors import MapLLaVAError  # noqa: E402
from mapllava.gt_cache.store import seal  # noqa: E402
from mapllava.registry import MODELS, TOKENIZERS  # noqa: E402
from mapllava.testing import write_tiny_llama  # noqa: E402

convert_to_hf = partial(run_command, "convert to-hf")
convert_from_hf = partial(run_command, "convert from-hf")
convert_results = partial(run_command, "convert results")
create_gt_cache = partial(run_command, "cache create")
evaluate = partial(run_command, "eval")

MODULE = "module_beside_the_file"


class Evil:
    """Touches the mark when it is unpickled in full."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """Where payloads leave their mark; a module that leaves it when imported lies in reach."""
    path, code = tmp_path / "mark", tmp_path / "code"
    code.mkdir()
    (code / f"{MODULE}_base.py").write_text(touching(path))
    (code / MODULE).mkdir()
    (code / MODULE / "__init__.py").write_text(touching(path))
    monkeypatch.syspath_prepend(code)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # as advised against MMEngine's pickles
    yield path
    sys.modules.pop(MODULE, None)


def touching(mark: Path) -> str:
    """Python that is also a config: MMEngine takes one with an import statement for another kind."""
    return f"marked = __import__('os').system('touch {mark}')\n"


def shell(mark: Path) -> dict:
    return {"type": "os.system", "command": f"touch {mark}"}


def pickled(content: dict, mark: Path) -> None:
    content["payload"] = Evil(mark)


def in_the_meta(content: dict, mark: Path) -> None:
    """All that MMEngine or a reader might evaluate, where no model is built from the file."""
    meta = content["meta"]
    meta["config"] = meta["cfg"] = touching(mark)
    content.setdefault("message_hub", {}).setdefault("runtime_info", {})["cfg"] = touching(mark)
    for change in CONFIGS.values():
        change(meta["full_config"], mark)


def steps(config: dict) -> list:
    return config["test_dataloader"]["dataset"]["pipeline"]


CONFIGS = {
    "a shell command for a model": lambda c, mark: c.update(model=shell(mark)),
    "a shell command for a part": lambda c, mark: c["model"].update(neck=shell(mark)),
    "a shell command deep in a list": lambda c, mark: c["model"].update(x=[[{"y": (shell(mark),)}]]),
    "a dotted path under our scope": lambda c, mark: c["model"].update(
        neck={**shell(mark), "type": "mapllava.os.system"}
    ),
    "a module for a type": lambda c, mark: c["model"].update(type=f"{MODULE}.Model"),
    "a scope that is a module": lambda c, mark: c["model"].update(_scope_=MODULE),
    "a default scope": lambda c, mark: c.update(default_scope=MODULE),
    "custom imports": lambda c, mark: c.update(custom_imports={"imports": [MODULE]}),
    "custom imports of a part": lambda c, mark: c["model"].update(custom_imports={"imports": [MODULE]}),
    "a shell command for a transform": lambda c, mark: steps(c).append(shell(mark)),
    "a shell command for a tokenizer": lambda c, mark: c["model"].update(decoder={"tokenizer": shell(mark)}),
    "a tokenizer's own code": lambda c, mark: c["model"].update(
        decoder={"tokenizer": {"type": "HFTokenizer", "pretrained": "hf", "trust_remote_code": True}}
    ),
    "a runner": lambda c, mark: c.update(runner_type=f"{MODULE}.Runner"),
    "a hook": lambda c, mark: c.update(custom_hooks=[shell(mark)]),
    "a log processor": lambda c, mark: c.update(log_processor=shell(mark)),
    "a base": lambda c, mark: c.update(_base_=[str(mark.parent / "code" / f"{MODULE}_base.py")]),
}


def harmless(door, *args) -> None:
    """The door opens or refuses in words."""
    with contextlib.suppress(MapLLaVAError):
        door(*args)


# --- checkpoints whose config is the user's


@pytest.fixture(scope="module")
def toy_content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    build_runner(toy_config(folder, epochs=1)).train()
    return torch.load(folder / "checkpoint_epoch_1.pth", weights_only=True)


def resume(path: Path) -> None:
    build_runner(toy_config(path.parent / "run", epochs=2, resume=True, load_from=str(path))).train()


def resume_in_mmengines_runner(path: Path) -> None:
    changes = {"resume": True, "load_from": str(path), "runner_type": "Runner"}
    build_runner(toy_config(path.parent / "run", epochs=2, **changes)).train()


def start_from(path: Path) -> None:
    build_runner(toy_config(path.parent / "run", epochs=1, load_from=str(path))).train()


def test(path: Path) -> None:
    build_runner(toy_config(path.parent / "run", load_from=str(path))).test()


test.__test__ = False


def initialise_from(path: Path) -> None:
    model = {"type": "ToyModel", "init_cfg": {"type": "Pretrained", "checkpoint": str(path)}}
    module = MODELS.build({key: value for key, value in model.items() if key != "init_cfg"})
    module.init_cfg = model["init_cfg"]
    module.init_weights()


def find_to_resume(path: Path) -> None:
    resume_point(path.parent, str(path))
    resume_point(path.parent, "auto")


def doctor(path: Path) -> None:
    list(start(Config({"load_from": str(path)})))


TRAINING = [
    resume,
    resume_in_mmengines_runner,
    start_from,
    test,
    initialise_from,
    find_to_resume,
    doctor,
    mapllava.load_model,
]


@pytest.mark.parametrize("payload", [pickled, in_the_meta])
@pytest.mark.parametrize("door", TRAINING, ids=lambda door: door.__name__)
def test_a_checkpoint_runs_nothing(tmp_path, toy_content, mark, door, payload):
    content = copy.deepcopy(toy_content)
    content["meta"]["full_config"].update(test_dataloader={"dataset": {"pipeline": [{}, {}]}})
    payload(content, mark)
    path = tmp_path / "checkpoint_epoch_1.pth"
    torch.save(content, path)
    harmless(door, path)
    assert not mark.exists()


@pytest.mark.parametrize("door", [start_from, *TRAINING[4:]], ids=lambda door: door.__name__)
def test_a_bare_pickle_runs_nothing(tmp_path, mark, door):
    path = tmp_path / "checkpoint_epoch_1.pth"
    path.write_bytes(pickle.dumps({"meta": {}, "state_dict": Evil(mark)}))
    harmless(door, path)
    assert not mark.exists()


# --- model files, built from the config in them


@pytest.fixture(scope="module")
def model_content(tmp_path_factory, city, city_cache):
    cfg = tiny_config(city, city_cache)
    state = torch.load(write_run(tmp_path_factory.mktemp("tiny"), cfg), weights_only=True)["state_dict"]
    meta = {
        "format_version": FORMAT_VERSION,
        "mapllava_version": mapllava.__version__,
        "full_config": plain_config(cfg.to_dict()),
        "base_weights": {},
        "prompt": {"text": "Draw.", "ids": [1, 5, 6], "tokenizer": {"type": "ByteTokenizer"}},
        "architectures": {},
        "map_spec": SPEC,
        "cameras": None,
    }
    return {"state_dict": state, "meta": meta}


def to_hf(path: Path) -> None:
    convert_to_hf([str(path), str(path.parent / "folder")])


def to_hf_full(path: Path) -> None:
    convert_to_hf([str(path), str(path.parent / "folder"), "--full"])


def there_and_back(path: Path) -> None:
    convert_to_hf([str(path), str(path.parent / "folder")])
    convert_from_hf([str(path.parent / "folder"), str(path.parent / "back.pth")])
    mapllava.load_model(path.parent / "back.pth", "cpu")


def diagnose(path: Path) -> None:
    """The config beside the file is as foreign as the file."""
    content = torch.load(path, weights_only=True)
    (path.parent / "config.json").write_text(json.dumps(content["meta"]["full_config"]))
    opened = open_checkpoint(path, device="cpu")
    assert opened.trained == {}


MODEL_DOORS = [mapllava.load_model, to_hf, to_hf_full, there_and_back, diagnose]


@pytest.mark.parametrize("door", MODEL_DOORS, ids=lambda door: door.__name__)
def test_a_harmless_model_file_passes(tmp_path, model_content, door):
    door(write_model_file(tmp_path / "sent.pth", model_content["state_dict"], model_content["meta"]))


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("door", MODEL_DOORS, ids=lambda door: door.__name__)
def test_a_model_files_config_runs_nothing(tmp_path, model_content, mark, door, kind):
    content = copy.deepcopy(model_content)
    CONFIGS[kind](content["meta"]["full_config"], mark)
    harmless(door, write_model_file(tmp_path / "sent.pth", content["state_dict"], content["meta"]))
    assert not mark.exists()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_folders_config_is_refused_by_name(tmp_path, model_content, mark, kind):
    content = copy.deepcopy(model_content)
    CONFIGS[kind](content["meta"]["full_config"], mark)
    path = write_model_file(tmp_path / "sent.pth", content["state_dict"], content["meta"])
    with pytest.raises(MapLLaVAError, match=r"config\.json.*(registered|scope|code from elsewhere)"):
        diagnose(path)


def test_the_payloads_are_live(model_content, mark):
    """They do leave their mark in the loaders that this package keeps away from."""
    torch.save({"payload": Evil(mark)}, mark.parent / "evil.pth")
    runs = [
        lambda: torch.load(mark.parent / "evil.pth", weights_only=False),
        lambda: Config.fromstring(touching(mark), ".py"),
        lambda: MODELS.build(shell(mark)),
        lambda: __import__(MODULE),
    ]
    for run in runs:
        run()
        assert mark.exists()
        mark.unlink()


# --- folders of Hugging Face's


def folder_with_code(folder: Path, mark: Path, **config) -> Path:
    """A model folder whose config, model and tokenizer ask for a module in it."""
    write_tiny_llama(folder)
    (folder / "code.py").write_text(touching(mark) + "class Thing: ...\n")
    kinds = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer")
    asked = {"auto_map": dict.fromkeys(kinds, "code.Thing"), **config}
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**content, **asked}))
    return folder


@pytest.mark.parametrize("model_type", ["llama", "none_of_transformers"])
@pytest.mark.parametrize("kind", ["LLMMapDecoder", "CLIPVisionEncoder", "QFormerCore"])
def test_a_base_models_folder_runs_nothing(tmp_path, mark, kind, model_type):
    folder = folder_with_code(tmp_path / "hf", mark, model_type=model_type)
    sizes = {"LLMMapDecoder": {"in_channels": 8, "prompt": "Draw."}, "QFormerCore": {"encoder_dims": 8}}.get(
        kind, {}
    )
    with contextlib.suppress(ValueError, MapLLaVAError):  # where the folder holds another kind of model
        harmless(MODELS.build, {"type": kind, "pretrained": str(folder), **sizes})
    assert not mark.exists()


@pytest.mark.parametrize("asked", [{}, {"trust_remote_code": True}])
@pytest.mark.parametrize("config", [{}, {"tokenizer_class": "Thing", "model_type": "none_of_transformers"}])
def test_a_tokenizers_folder_runs_nothing(tmp_path, mark, config, asked):
    folder = folder_with_code(tmp_path / "hf", mark, **config)

    def read() -> None:
        TOKENIZERS.build({"type": "HFTokenizer", "pretrained": str(folder), **asked})("Draw.")

    with contextlib.suppress(TypeError):  # there is no such argument
        harmless(read)
    assert not mark.exists()


def test_a_base_models_pickle_runs_nothing(tmp_path, mark):
    folder = write_tiny_llama(tmp_path / "hf")
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    torch.save({"model.norm.weight": Evil(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.only|plain values"):
        MODELS.build(
            {"type": "LLMMapDecoder", "in_channels": 8, "prompt": "Draw.", "pretrained": str(folder)}
        )
    assert not mark.exists()


# --- caches, results, splits, run folders


def score(path: Path) -> None:
    assert evaluate([str(path), "--cache", str(path)]) == 2


def convert_kind(path: Path) -> None:
    assert convert_results([str(path), f"{path}.out", "--to", "mapllava", "--cache", str(path)]) == 2


def read_split(path: Path) -> None:
    words = ["--dataroot", str(path.parent), "--version", "v1.0-mini", "--split", str(path)]
    assert create_gt_cache(words) == 2


def read_cache(path: Path) -> None:
    with pytest.raises(MapLLaVAError):
        gt_cache.load(path)


@pytest.mark.parametrize("name", ["gt_cache_v1.0-mini_val.pkl", "results.json", "split.json"])
@pytest.mark.parametrize(
    "door", [read_cache, score, convert_kind, read_split], ids=lambda door: door.__name__
)
def test_a_data_file_runs_nothing(tmp_path, mark, door, name):
    path = tmp_path / name
    data = pickle.dumps({"metainfo": {}, "data_list": [Evil(mark)]})
    path.write_bytes(data + seal(data))
    door(path)
    assert not mark.exists()


def test_a_run_folder_runs_nothing(tmp_path, mark):
    (tmp_path / "20260101_000000" / "vis_data").mkdir(parents=True)
    (tmp_path / "20260101_000000" / "vis_data" / "scalars.json").write_text('{"loss": 1.0, "step": 1}\n')
    (tmp_path / "config.json").write_text(json.dumps({"model": shell(mark), "custom_imports": [MODULE]}))
    (tmp_path / "config.py").write_text(touching(mark))
    harmless(read_run, tmp_path)
    assert not mark.exists()
