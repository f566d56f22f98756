"""One weight file of a base model: whether it is what its name says, and its tensors one by one."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mapllava.checkpoint.plain_file import is_state, read_plain
from mapllava.errors import MapLLaVAError

_POINTER = b"version https://git-lfs.github.com/spec/"
_FLOATS = ("F64", "F32", "F16", "BF16")  # safetensors' names


def damage(path: Path) -> str | None:
    """What is wrong with a file, seen without reading all of it; None if nothing is.

    Args:
        path: a safetensors or ``.bin`` file, or any small file of a model's folder.

    Returns:
        words that follow the file's name.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(len(_POINTER))
        if start == _POINTER:
            return (
                f"is a pointer of git LFS ({size} bytes), not the file that it stands for: run "
                "'git lfs pull' in its folder"
            )
        if path.suffix == ".safetensors":
            safe_open(str(path), framework="pt").__exit__(None, None, None)
        if path.suffix == ".bin" and start.startswith(b"PK"):
            zipfile.ZipFile(path).close()  # its directory stands at the end
    except zipfile.BadZipFile:
        return f"is cut short ({size:,} bytes, the end is missing): download it again"
    except SafetensorError as error:
        return (
            f"is cut short or no whole safetensors file ({error}; it has {size:,} bytes and begins with "
            f"{start[:8]!r}): download it again"
        )
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None


@contextmanager
def open_weights(path: Path) -> Iterator[tuple[list[str], Callable[[str], Tensor]]]:
    """Names of a file's tensors, and a function that reads one of them onto the CPU.

    Where the default device is ``meta`` tensors have their shape only, and safetensors are not read.

    Raises:
        MapLLaVAError: if the file is damaged, or holds more than tensors; nothing in it is run.
    """
    wrong = damage(path)
    if wrong is not None:
        raise MapLLaVAError(f"'{path}' {wrong}")
    if path.suffix != ".safetensors":
        state = _read_bin(path)
        yield list(state), state.__getitem__
        return
    with safe_open(str(path), framework="pt", device="cpu") as file:

        def shape_only(key: str) -> Tensor:
            entry = file.get_slice(key)
            dtype = torch.float32 if entry.get_dtype() in _FLOATS else torch.int8
            return torch.empty(entry.get_shape(), dtype=dtype, device="meta")

        on_meta = torch.get_default_device().type == "meta"
        yield list(file.keys()), shape_only if on_meta else file.get_tensor


def _read_bin(path: Path) -> dict[str, Tensor]:
    """Tensors of a PyTorch file, mapped where its format allows that; the one before 1.6 does not."""
    state = read_plain(path, verify=False, remedy="download it again, or as safetensors")
    if not is_state(state):
        inside = ", ".join(map(str, list(state)[:5])) if isinstance(state, dict) else type(state).__name__
        raise MapLLaVAError(
            f"'{path}' holds more than names and tensors ({inside}): it is a training checkpoint; name a "
            "model folder as transformers saves it"
        )
    return state
