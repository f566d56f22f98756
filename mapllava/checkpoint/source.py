"""Where base weights come from: a folder, the hub's cache on this disk, or the hub."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from mapllava.checkpoint.folder_kinds import refuse_packed, without_config
from mapllava.checkpoint.weight_file import damage, open_weights
from mapllava.errors import MapLLaVAError
from mapllava.published import command_for

Shards = dict[Path, list[str] | None]
"""Weight files with their keys, where an index tells them."""

_SMALL_FILES = ["*.json", "*.model", "*.txt"]
_FORMS = (("model", "safetensors"), ("pytorch_model", "bin"))
_OTHER_WEIGHTS = {".safetensors", ".bin", ".pth", ".pt", ".gguf", ".h5", ".msgpack", ".onnx"}
_PROBE_BYTES, _PROBE_STRIDE = 1 << 16, 1 << 23  # 64 KiB of every 8 MiB: below a second for 13 GB


class WeightSource:
    """A base model's ``config.json`` and weight files.

    Reads safetensors (one file or shards) and, where there are none that are whole, ``.bin`` files,
    of which nothing is run. From the hub only the shards that hold wanted tensors are fetched;
    ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` mean what they mean to huggingface_hub.

    Args:
        name: a local folder, or a hub id such as ``Salesforce/blip2-opt-2.7b``, optionally with
            ``@revision``.

    Raises:
        MapLLaVAError: if it is neither, or has no ``config.json``.
    """

    def __init__(self, name: str | Path) -> None:
        self.name = str(name)
        self.repo_id, _, revision = self.name.partition("@")
        self.revision: str | None = revision or None
        self._read: set[Path] = set()
        self.is_local = Path(self.name).expanduser().is_dir()
        if Path(self.name).expanduser().is_file():
            raise MapLLaVAError(f"pretrained='{self.name}' is a file: name the model's folder that it is in")
        maker = None if self.is_local else command_for(self.name)
        if maker is not None:  # and the hub is not asked for it
            raise MapLLaVAError(f"pretrained='{self.name}': no such folder here yet; it is made by {maker}")
        if self.is_local:
            self.folder = Path(self.name).expanduser()
        else:
            self.folder = self._fetch(_SMALL_FILES)
            self.revision = self.folder.name  # snapshots are called after their commit
        if not (self.folder / "config.json").is_file():
            raise MapLLaVAError(f"pretrained='{self.name}': {without_config(self.folder)}")

    def config(self) -> dict[str, Any]:
        """The contents of ``config.json``.

        Raises:
            MapLLaVAError: if it is damaged.
        """
        return _read_json(self.folder / "config.json")

    def tensors(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Callable[[], Tensor] | None]]:
        """All keys of the weight files, file by file, so that one file at most is open.

        Args:
            wanted: which tensors will be read; others come with None.

        Yields:
            the key, and a function that reads the tensor onto the CPU.

        Raises:
            MapLLaVAError: if there are no weight files, one is missing or damaged, or weights are packed.
        """
        refuse_packed(self.name, self.folder, self.config())
        for path, keys in self._files(wanted).items():
            if keys is not None and not any(map(wanted, keys)):
                yield from ((key, None) for key in keys)
                continue
            self._read.add(path)
            with open_weights(path) as (present, read):
                for key in present:
                    yield key, partial(read, key) if wanted(key) else None

    def describe(self) -> dict[str, str | None]:
        """Identity of the weights, for checkpoints that do not contain them.

        Returns:
            ``id`` (the name given), ``revision`` (the hub's commit, None for a folder) and
            ``hash``: SHA-256 over name, size and 64 KiB of every 8 MiB of the weight files read so
            far (of all in the folder if none was): another model or fine-tune shows, in a fraction
            of the time that reading all takes. Other files of the folder, which one machine has
            fetched and another not, do not count.
        """
        digest = hashlib.sha256()
        there = {*self.folder.glob("*.safetensors"), *self.folder.glob("*.bin")}
        for path in sorted(self._read or there):
            size = path.stat().st_size
            digest.update(f"{path.name}:{size};".encode())
            with path.open("rb") as file:
                for start in [*range(0, size, _PROBE_STRIDE), max(0, size - _PROBE_BYTES)]:
                    file.seek(start)
                    digest.update(file.read(_PROBE_BYTES))
        return {"id": self.name, "revision": self.revision, "hash": digest.hexdigest()}

    def _files(self, wanted: Callable[[str], bool]) -> Shards:
        """The weight files of the first form that is there and whole; fetched where wanted."""
        problems: list[str] = []
        for stem, suffix in _FORMS:
            index, whole = self.folder / f"{stem}.{suffix}.index.json", self.folder / f"{stem}.{suffix}"
            found: list[Shards] = []
            if index.is_file():
                try:
                    found.append(self._shards(index, wanted))
                except MapLLaVAError as error:
                    problems.append(str(error))
            elif not self.is_local and not whole.is_file():
                self._fetch([whole.name])
            if whole.is_file() and not any(whole in shards for shards in found):
                wrong = damage(whole)
                if wrong is None:
                    found.append({whole: None})
                else:
                    problems.append(f"'{whole}' {wrong}")
            if len(found) > 1:
                raise MapLLaVAError(
                    f"pretrained='{self.name}': {whole.name} and the files that {index.name} names are both "
                    f"there and whole: which are meant? Move one of them out of {self.folder}"
                )
            if found:
                for problem in problems:
                    print_log(f"left aside: {problem}", logger="current", level=logging.WARNING)
                return found[0]
        raise MapLLaVAError(problems[0] if problems else self._no_weights())

    def _no_weights(self) -> str:
        others = sorted(path.name for path in self.folder.iterdir() if path.suffix in _OTHER_WEIGHTS)
        there = f"; shards need their index, and other forms than these are not read: {', '.join(others[:4])}"
        return (
            f"pretrained='{self.name}': no weight file in {self.folder} (looked for model.safetensors, "
            f"pytorch_model.bin and their .index.json){there if others else ''}"
        )

    def _shards(self, index: Path, wanted: Callable[[str], bool]) -> Shards:
        """The files that an index names; those with wanted tensors are there and whole."""
        shards: dict[str, list[str]] = {}
        weight_map = _read_json(index).get("weight_map") or {}
        if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
            raise MapLLaVAError(f"'{index}' is damaged: its weight_map does not name a file for each tensor")
        for key, file in weight_map.items():
            shards.setdefault(Path(file).name, []).append(key)
        needed = [file for file, keys in shards.items() if any(map(wanted, keys))]
        if not self.is_local and needed:
            self._fetch(needed)
        missing = [file for file in needed if not (self.folder / file).is_file()]
        if missing or not shards:
            raise MapLLaVAError(
                f"pretrained='{self.name}': {index.name} names {', '.join(missing) or 'no files'}, which "
                f"{self.folder} does not have; copy or download the rest of the model"
            )
        for file in needed:
            wrong = damage(self.folder / file)
            if wrong is not None:
                raise MapLLaVAError(f"'{self.folder / file}' {wrong}")
        return {self.folder / file: keys for file, keys in shards.items()}

    def _fetch(self, patterns: list[str]) -> Path:
        """Folder of the hub's snapshot with the files that match.

        Out of reach of the hub this is the cached snapshot, which may lack files.
        """
        import huggingface_hub
        from huggingface_hub.errors import HFValidationError

        options: dict[str, Any] = {
            "repo_id": self.repo_id,
            "revision": self.revision,
            "allow_patterns": patterns,
        }
        try:
            return Path(huggingface_hub.snapshot_download(**options))
        except HFValidationError as error:
            raise MapLLaVAError(f"pretrained='{self.name}' is neither a folder here nor a hub id") from error
        except (OSError, ValueError, RuntimeError) as error:
            endpoint = huggingface_hub.constants.ENDPOINT
            raise MapLLaVAError(
                f"pretrained='{self.name}': no such folder here, not complete in the hub's cache, and "
                f"{endpoint} did not give it ({type(error).__name__}: {error}). Download the model into a "
                "folder and name that, or set HF_ENDPOINT before starting Python (it is read once, at import)"
            ) from error


def _read_json(path: Path) -> dict[str, Any]:
    wrong = damage(path)
    if wrong is None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
            wrong = f"holds a {type(content).__name__} where names and values belong"
        except ValueError as error:
            wrong = f"is damaged or cut short ({error}): download it again"
    raise MapLLaVAError(f"'{path}' {wrong}")
