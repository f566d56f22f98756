"""Other libraries' private names: which are used, why, and that they still are what they were."""

import ast
import importlib
import inspect
import textwrap
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mapllava"
FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = {"_exit"}  # os documents it
RUNNER, LOOP = "mmengine.runner:Runner", "mmengine.runner:EpochBasedTrainLoop"
WRAPPER, MODULE = "mmengine.optim:OptimWrapper", "torch.nn:Module"
ALLOWED = {
    "analysis/cost/fake_step.py": {"_subclasses": "torch"},
    "analysis/cost/step_recorder.py": {
        "_python_dispatch": "torch.utils",
        "_pytree": "torch.utils",
        "_scaled_dot_product_flash_attention_for_cpu": "torch:ops.aten",
        "_scaled_dot_product_flash_attention_for_cpu_backward": "torch:ops.aten",
        "_C": "torch",
        "_autograd": "torch:_C",
        "_get_sequence_nr": "torch:_C._autograd",
        "_current_autograd_node": "torch:_C",
        "_sequence_nr": "torch.autograd.graph:Node",
    },
    "checkpoint/arithmetic.py": {"_is_mkldnn_bf16_supported": "torch:ops.mkldnn"},
    "checkpoint/loading.py": {"_keys_to_ignore_on_load_unexpected": "transformers:PreTrainedModel"},
    "config/assignments.py": {
        "_is_lazy_import": "mmengine.config:Config",
        "_get_base_files": "mmengine.config:Config",
    },
    "config/base_files.py": {"_get_cfg_path": "mmengine.config:Config"},
    "datasets/concat_dataset.py": {"_metainfo": "mmengine.dataset:ConcatDataset"},
    "datasets/map_dataset.py": {"_metainfo": "mmengine.dataset:BaseDataset"},
    "engine/hooks/map_visualization_hook.py": {"_after_iter": "mmengine.hooks:Hook"},
    "engine/hooks/progress_bar_hook.py": dict.fromkeys(
        ("_before_epoch", "_after_iter", "_after_epoch"), "mmengine.hooks:Hook"
    ),
    "engine/hooks/steady_timer_hook.py": dict.fromkeys(
        ("_before_epoch", "_before_iter", "_after_iter"), "mmengine.hooks:IterTimerHook"
    ),
    "engine/hooks/step_timeout_hook.py": {"_set_pg_timeout": "torch.distributed.distributed_c10d"},
    "engine/optim/accumulation.py": {"_accumulative_counts": WRAPPER},
    "engine/optim/autocast_optim_wrapper.py": dict.fromkeys(
        ("_inner_count", "_max_counts", "_remainder_counts", "_clip_grad"), WRAPPER
    ),
    "engine/runner/data_workers.py": {
        "_iterator": "torch.utils.data:DataLoader",
        "_shutdown_workers": "torch.utils.data.dataloader:_MultiProcessingDataLoaderIter",
    },
    "engine/runner/failures.py": {"_get_default_store": "torch.distributed.distributed_c10d"},
    "engine/runner/map_runner.py": {
        **dict.fromkeys(("_timestamp", "_train_dataloader"), RUNNER),
        **dict.fromkeys(("_init_model_weights", "_build_param_scheduler"), RUNNER),
        **dict.fromkeys(("_iter", "_epoch"), LOOP),
    },
    "engine/runner/map_train_loop.py": {"_epoch": LOOP, "_decide_current_val_interval": LOOP},
    "engine/runner/resume.py": {"_global_step": "mmengine.optim:_ParamScheduler"},
    "engine/runner/run_state.py": dict.fromkeys(
        ("_resume", "_train_loop", "_val_loop", "_test_loop"), RUNNER
    ),
    "models/backbones/hf_backbone.py": {"_from_config": "transformers:PreTrainedModel"},
    "models/backbones/quantized_linear.py": {"_load_from_state_dict": MODULE, "_apply": MODULE},
    "models/decoders/decoder_only.py": dict.fromkeys(
        ("_is_stateful", "_supports_sdpa"), "transformers:PreTrainedModel"
    ),
    "models/vision_encoders/position_embeddings.py": {"_version": "torch:Tensor"},
}
"""File to private name to the module, or class, that has it; a name leaves when its last use does."""


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def place(path):
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def attributes(kind):
    """Names that a class has, or gives its objects."""
    try:
        code = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (TypeError, OSError):  # written in C
        return set(vars(kind))
    return {
        *vars(kind),
        *(n.attr for n in ast.walk(code) if isinstance(n, ast.Attribute) and is_own(n.value)),
    }


def foreign(kind, name):
    """Whether a class has a private name from a parent that is not ours."""
    parents = [each for each in kind.__mro__ if not each.__module__.startswith("mapllava")]
    return any(name in attributes(each) for each in parents)


def classes(path):
    """Classes of a file's top level, built, each with its code."""
    module = importlib.import_module(".".join(["mapllava", *path.relative_to(ROOT).with_suffix("").parts]))
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield getattr(module, node.name), node


def is_own(node):
    return ast.unparse(node) in ("self", "cls", "super()")


@cache
def own_names():
    """Private names that this package gives itself."""
    names = set()
    for path in FILES:
        inside = {id(node): kind for kind, body in classes(path) for node in ast.walk(body)}
        for node in ast.walk(tree(path)):
            kind = inside.get(id(node))
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                name = node.name
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
                name = node.attr
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            else:
                continue
            if kind is None or not foreign(kind, name):
                names.add(name)
    return names


def uses():
    """Every use of a foreign private name: file, line, name."""
    for path in FILES:
        inside = {id(node): kind for kind, body in classes(path) for node in ast.walk(body)}
        for node in ast.walk(tree(path)):
            for name in found(node, inside.get(id(node))):
                yield place(path), node.lineno, name


def found(node, kind):
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        if is_own(node.value) and kind is not None:
            return [node.attr] if foreign(kind, node.attr) else []
        return [] if node.attr in own_names() else [node.attr]
    if isinstance(node, ast.FunctionDef) and is_private(node.name) and kind is not None:
        return [node.name] if foreign(kind, node.name) else []
    if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("mapllava"):
        parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
        return [part for part in parts if is_private(part)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
        name = getattr(node.args[1], "value", None)
        return [name] if isinstance(name, str) and is_private(name) and name not in own_names() else []
    return []


@cache
def every_use():
    return sorted(uses())


def test_only_what_is_listed_is_used_and_all_of_that_is():
    listed = {(file, name) for file, names in ALLOWED.items() for name in names}
    new = [f"{file}:{line}: {name}" for file, line, name in every_use() if (file, name) not in listed]
    assert not new, "another library's private name: find a public way, or list it with its reason"
    assert listed == {(file, name) for file, _, name in every_use()}


def test_each_use_has_its_reason_beside_it():
    silent = []
    for file in sorted(ALLOWED):
        with (ROOT / file).open("rb") as stream:
            comments = {t.start[0] for t in tokenize.tokenize(stream.readline) if t.type == tokenize.COMMENT}
        lines = {line for used, line, _ in every_use() if used == file}
        silent += [f"{file}:{line}" for line in lines if not comments.intersection(range(line - 3, line + 1))]
    assert not silent, "a comment on the line or above it says why"


@pytest.mark.parametrize(
    ("name", "owner"),
    sorted({(name, owner) for names in ALLOWED.values() for name, owner in names.items()}),
)
def test_the_library_still_has_it(name, owner):
    module, _, inner = owner.partition(":")
    found = importlib.import_module(module)
    for part in inner.split(".") if inner else ():
        found = getattr(found, part)
    if inspect.ismodule(found) and not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")  # a part that its package does not import
    parents = found.__mro__ if inspect.isclass(found) else ()
    assert hasattr(found, name) or any(name in attributes(each) for each in parents)
