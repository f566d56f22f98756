"""Where base weights come from: a folder, the hub's cache on this disk, or the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mapllava.errors import MapLLaVAError

_SMALL_FILES = ["*.json", "*.model", "*.txt"]
_PROBE_BYTES, _PROBE_STRIDE = 1 << 16, 1 << 23  # 64 KiB of every 8 MiB: below a second for 13 GB


class WeightSource:
    """A base model's ``config.json`` and weight files.

    Reads safetensors (one file or shards) and, where there are none, ``.bin`` files with
    ``weights_only=True``. From the hub only the shards that hold wanted tensors are fetched;
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
        if self.is_local:
            self.folder = Path(self.name).expanduser()
        else:
            self.folder = self._fetch(_SMALL_FILES)
            self.revision = self.folder.name  # snapshots are called after their commit
        if not (self.folder / "config.json").is_file():
            raise MapLLaVAError(
                f"pretrained='{self.name}': no config.json in {self.folder}; point it at a model folder as "
                "transformers saves it"
            )

    def config(self) -> dict[str, Any]:
        """The contents of ``config.json``."""
        return json.loads((self.folder / "config.json").read_text(encoding="utf-8"))

    def tensors(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Callable[[], Tensor] | None]]:
        """All keys of the weight files, file by file, so that one file at most is open.

        Args:
            wanted: which tensors will be read; others come with None.

        Yields:
            the key, and a function that reads the tensor onto the CPU.

        Raises:
            MapLLaVAError: if there are no weight files, or a shard is missing.
        """
        for path, keys in self._files(wanted):
            if keys is not None and not any(map(wanted, keys)):
                yield from ((key, None) for key in keys)
                continue
            self._read.add(path)
            with _open(path) as (present, read):
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

    def _files(self, wanted: Callable[[str], bool]) -> list[tuple[Path, list[str] | None]]:
        """Weight files with their keys where an index tells them; fetched where wanted."""
        for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
            index = self.folder / f"{stem}.{suffix}.index.json"
            if index.is_file():
                return self._shards(index, wanted)
            whole = self.folder / f"{stem}.{suffix}"
            if not whole.is_file() and not self.is_local:
                self._fetch([whole.name])
            if whole.is_file():
                return [(whole, None)]
        raise MapLLaVAError(
            f"pretrained='{self.name}': no weight file in {self.folder} (looked for model.safetensors, "
            "pytorch_model.bin and their .index.json)"
        )

    def _shards(self, index: Path, wanted: Callable[[str], bool]) -> list[tuple[Path, list[str] | None]]:
        shards: dict[str, list[str]] = {}
        for key, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items():
            shards.setdefault(file, []).append(key)
        needed = [file for file, keys in shards.items() if any(map(wanted, keys))]
        if not self.is_local and needed:
            self._fetch(needed)
        missing = [file for file in needed if not (self.folder / file).is_file()]
        if missing:
            raise MapLLaVAError(
                f"pretrained='{self.name}': {index.name} names {', '.join(missing)}, which {self.folder} "
                "does not have; copy or download the rest of the model"
            )
        return [(self.folder / file, keys) for file, keys in shards.items()]

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


@contextmanager
def _open(path: Path) -> Iterator[tuple[list[str], Callable[[str], Tensor]]]:
    """Keys of a weight file and a function that reads one tensor."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(str(path), framework="pt", device="cpu") as file:
            yield list(file.keys()), file.get_tensor
    else:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        yield list(state), state.__getitem__
