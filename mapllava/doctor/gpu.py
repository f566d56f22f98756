"""Whether PyTorch can use the GPUs that the driver shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import torch

from mapllava.doctor.context import Context
from mapllava.finding import FAIL, OK, WARN, Finding
from mapllava.resources import gigabytes


def gpu(context: Context) -> Iterator[Finding]:
    """One line per GPU that PyTorch sees, or why it sees none."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _describe(index)
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    build = f"PyTorch {torch.__version__}"
    if shutil.which("nvidia-smi") is None:
        reason = f"no GPU ({build}): training runs on the CPU, which the synthetic configs are made for"
        yield Finding("gpu", WARN, reason, "nuScenes at full size needs a GPU machine")
    elif hidden is not None and hidden.strip() in ("", "-1"):
        yield Finding(
            "gpu", FAIL, f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU", "unset CUDA_VISIBLE_DEVICES"
        )
    elif torch.version.cuda is None:
        remedy = (
            "pip install --force-reinstall torch from its CUDA index: see 'Install' in docs/en/get_started.md"
        )
        yield Finding("gpu", FAIL, f"{build} is a build without CUDA, though there is a driver", remedy)
    else:
        reason = f"{build} for CUDA {torch.version.cuda} finds no GPU that works with this driver"
        remedy = (
            "update the driver, or install a PyTorch for an older CUDA: nvidia-smi shows the newest it runs"
        )
        yield Finding("gpu", FAIL, reason, remedy)


def _describe(index: int) -> Finding:
    properties = torch.cuda.get_device_properties(index)
    capability = f"sm_{properties.major}{properties.minor}"
    built = torch.cuda.get_arch_list()
    text = f"{properties.name}, {gigabytes(properties.total_memory)}, {capability}, CUDA {torch.version.cuda}"
    older = [arch for arch in built if arch.startswith("sm_") and _number(arch) <= _number(capability)]
    if built and not older:
        remedy = "install a PyTorch that was built for this card"
        return Finding(f"gpu {index}", FAIL, f"{text}: PyTorch was built for {', '.join(built)}", remedy)
    return Finding(f"gpu {index}", OK, text)


def _number(arch: str) -> int:
    digits = "".join(letter for letter in arch if letter.isdigit())
    return int(digits or 0)
