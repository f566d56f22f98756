"""Pretrained weights and their tokenizers: on this disk and complete, or within reach."""

from __future__ import annotations

import copy
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from mapllava.checkpoint import BLIP2_QFORMER, BLIP2_QUERY_TOKENS, WeightSource
from mapllava.checkpoint.key_tables import UNKNOWN
from mapllava.config.components import Component, candidates, components
from mapllava.config.walk import dicts
from mapllava.doctor.context import Context
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, SKIP, Finding
from mapllava.models.tokenizers.vocabulary_files import vocabulary_file
from mapllava.published import command_for
from mapllava.registry import MODELS
from mapllava.resources import gigabytes

KEY = "pretrained"
_SECONDS = 8.0
_HASH = 12  # digits shown
_ELSEWHERE = (
    "download the model into a folder and name that in 'pretrained', or name a mirror before starting "
    "Python: export HF_ENDPOINT=https://…"
)


def weights(context: Context) -> Iterator[Finding]:
    """One line per folder or hub id that the config names, and one per prompt.

    The model is filled from them, without memory.
    """
    users = users_of_weights(context.cfg)
    here = {name: on_this_disk(name, using) for name, using in users.items()}
    prompts = list(_prompts(context.cfg))
    if users and not any(finding.status == FAIL for finding in (*here.values(), *prompts)):
        here.update(_filled(context.cfg, here))
    for name, finding in here.items():
        absent_here = finding.status == FAIL and not Path(name).expanduser().exists()
        elsewhere = absent_here and command_for(name) is None  # what a command makes is on no hub
        yield _on_the_hub(name, finding.name) if elsewhere else finding
    if not users:
        yield Finding("weights", SKIP, "none are named: the model starts from random weights")
    yield from prompts


def _filled(cfg: Any, here: Mapping[str, Finding]) -> dict[str, Finding]:
    """What training would say of weights when it builds the model; its other errors are the step's."""
    try:
        with torch.device("meta"):
            MODELS.build(localised(cfg.model))
    except Exception as error:
        text = " ".join(str(error).split())
        named = [name for name in here if name in text or str(local_folder(name)) in text]
        if isinstance(error, (MapLLaVAError, ValueError)) and named:
            name = max(named, key=len)
            return {name: Finding(here[name].name, FAIL, text, f"name the right model, or {_again(name)}")}
    return {}


def absent(cfg: Any) -> list[str]:
    """Names of pretrained weights that are not complete on this disk."""
    return [name for name, using in users_of_weights(cfg).items() if on_this_disk(name, using).status == FAIL]


def on_this_disk(name: str, users: Sequence[Component]) -> Finding:
    """Whether weights, and a tokenizer where one is wanted, are here and whole.

    Args:
        name: folder or hub id.
        users: the components that name it.
    """
    folder = local_folder(name)
    models = [each for each in users if "Tokenizer" not in str(each.kind)]
    label = f"weights {name}" if models else f"tokenizer {name}"
    if folder is None:
        maker = command_for(name)
        return Finding(label, FAIL, "not on this disk", _ELSEWHERE if maker is None else f"make it: {maker}")
    if not models:
        return Finding(label, OK, str(folder))
    if folder.is_file():  # a plug-in's own way; building the model shows whether it can be read
        return Finding(label, OK, f"{folder}: a file of {gigabytes(folder.stat().st_size)}")
    return _complete(label, name, folder, models)


def _prompts(cfg: Any) -> Iterator[Finding]:
    """What makes ids of every language model's prompt, by the code that training builds it with."""
    for component in components(cfg.to_dict()):
        built = [each for each, _ in candidates(component.kind, component.scope)]
        readers = [each for each in built if hasattr(each, "open_prompt")]
        if readers:
            yield _prompt(f"tokenizer {component.where}", component.node, readers[0])


def _prompt(label: str, node: Mapping[str, Any], reader: Any) -> Finding:
    named = [each[KEY] for _, each in dicts(node) if isinstance(each.get(KEY), str)][::-1]  # innermost first
    folders = {name: local_folder(name) for name in named}
    if None in folders.values():
        return Finding(label, SKIP, f"not looked at: {', '.join(named)} must be on this disk first")
    here = localised(node)
    try:
        reader.open(**here)
    except (MapLLaVAError, ValueError) as error:
        return Finding(label, SKIP, f"not looked at: its model is refused ({error})")
    try:
        return Finding(label, OK, str(reader.open_prompt(**here)))
    except MapLLaVAError as error:
        asked = named[0] if named else ""
        folder = folders.get(asked)
        if folder is not None and not Path(asked).expanduser().exists() and vocabulary_file(folder) is None:
            return _on_the_hub(asked, label)  # weights alone have been downloaded
        return Finding.from_error(label, error, "see 'prompt' and 'tokenizer' of this part of the config")


def users_of_weights(cfg: Any) -> dict[str, list[Component]]:
    """Folders and hub ids of a full config, each with the components that name it."""
    users: dict[str, list[Component]] = {}
    for component in components(cfg.to_dict()):
        if isinstance(component.node.get(KEY), str):
            users.setdefault(component.node[KEY], []).append(component)
    return users


def local_folder(name: str) -> Path | None:
    """Folder that a name means on this disk: itself, or the hub's snapshot in the cache; None if neither.

    Asks nobody and fetches nothing.
    """
    if Path(name).expanduser().exists():
        return Path(name).expanduser()
    import huggingface_hub

    repo, _, revision = name.partition("@")
    try:
        return Path(huggingface_hub.snapshot_download(repo, revision=revision or None, local_files_only=True))
    except (OSError, ValueError):  # not cached; not a hub id
        return None


def localised(cfg: Any) -> Any:
    """A copy of a config whose pretrained weights are named by their folders on this disk, where they are."""
    copied = copy.deepcopy(cfg)
    for _, node in dicts(copied):
        if isinstance(node.get(KEY), str):
            node[KEY] = str(local_folder(node[KEY]) or node[KEY])
    return copied


def weight_files(folder: Path) -> list[Path]:
    """Weight files of a model's folder."""
    return sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])


def _complete(label: str, name: str, folder: Path, users: Sequence[Component]) -> Finding:
    again = _again(name)
    try:
        source = WeightSource(folder)
        kind = source.config().get("model_type", "unknown")
        wanted = [_wants(component) for component in users]
        tensors = source.tensors(lambda key: any(want(key) for want in wanted))
        read = sum(get is not None for _, get in tensors)
        digest = str(source.describe()["hash"])[:_HASH]
    except MapLLaVAError as error:
        return Finding.from_error(label, error, again)
    except Exception as error:  # of safetensors, pickle or JSON, none of which share a class
        text = " ".join(str(error).split())
        reason = f"a file in {folder} is damaged or cut short ({type(error).__name__}: {text})"
        return Finding(label, FAIL, reason, again)
    if not read:
        reason = f"{folder} ({kind}) has no tensor for {', '.join(each.where for each in users)}"
        return Finding(label, FAIL, reason, "name the right model in 'pretrained'")
    size = gigabytes(sum(path.stat().st_size for path in weight_files(folder)))
    return Finding(label, OK, f"{folder}: {kind}, {size}, {read} tensors, hash {digest}")


def _again(name: str) -> str:
    return f"download {name} again, all files of it"


def _wants(component: Component) -> Callable[[str], bool]:
    """Which keys of the files a component takes; all, where it does not say."""
    for built, _ in candidates(component.kind, component.scope):
        tables = [built.table] if hasattr(built, "table") else []
        if built.__name__ == "QFormerCore":
            tables = [BLIP2_QFORMER, BLIP2_QUERY_TOKENS]
        if tables:
            return lambda key: any(not (table.rename(key) or UNKNOWN).startswith(UNKNOWN) for table in tables)
    return lambda key: True


def _on_the_hub(name: str, label: str) -> Finding:
    """Whether the hub or its mirror would give what is not on this disk."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import validate_repo_id

    repo, _, revision = name.partition("@")
    try:
        validate_repo_id(repo)
    except ValueError:
        return Finding(label, FAIL, f"'{name}' is neither a folder here nor a hub id", _ELSEWHERE)
    reason = f"not complete on this disk, and {constants.ENDPOINT}"
    if constants.HF_HUB_OFFLINE:
        reason = "not complete on this disk, and HF_HUB_OFFLINE is set"
        return Finding(label, FAIL, reason, f"unset it, or {_ELSEWHERE}")
    url = f"{constants.ENDPOINT}/{repo}/resolve/{revision or 'main'}/config.json"
    problem = reach(url, get_token())
    if not problem:
        return Finding(label, OK, f"{reason} answers: the first run downloads it")
    if problem in ("401", "403"):
        remedy = f"accept the model's terms on its page, then: hf auth login. Or {_ELSEWHERE}"
        return Finding(label, FAIL, f"{reason} wants a login ({problem})", remedy)
    if problem == "404":
        reason = f"{reason} knows no such model or revision"
        return Finding(label, FAIL, reason, f"check the name; or {_ELSEWHERE}")
    return Finding(label, FAIL, f"{reason} is out of reach ({problem})", _ELSEWHERE)


def reach(url: str, token: str | None = None, seconds: float = _SECONDS) -> str:
    """What stands between us and a URL: empty if it answers, else a status or an error's text.

    Args:
        url: asked for its head only.
        token: of the hub, where there is one.
        seconds: after which it counts as silent, name resolution included.
    """
    problem = [f"no answer within {seconds:.0f} s"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "mapllava-doctor"})
        if token:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                problem[0] = ""
        except urllib.error.HTTPError as error:
            problem[0] = str(error.code)
        except (OSError, ValueError) as error:
            problem[0] = str(getattr(error, "reason", error))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return problem[0]
