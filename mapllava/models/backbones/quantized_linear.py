"""Linear layers whose frozen weight is held in 4 or 8 bits; needs bitsandbytes.

Imported by :mod:`mapllava.models.backbones.trainability` when a config asks for quantisation, not before.
A layer starts from a float layer's place: its weight is packed as soon as it has memory, by
:meth:`take_weight`, which the loader calls with one tensor of the files at a time. On the meta
device nothing is packed.

Shapes: O outputs, I inputs; a packed 4-bit weight is (O * I / 2, 1) uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import torch
from bitsandbytes import functional as bnb_functional
from torch import Tensor, nn

_BLOCK = 64  # weights per scale
_OUTLIERS = 6.0  # activations beyond it are multiplied in 16 bits; LLM.int8(), section 3.2


class NF4Linear(bnb.nn.Linear4bit):
    """A frozen linear layer in 4-bit NormalFloat, its scales quantised once more.

    Source: QLoRA, arXiv:2305.14314, section 3.

    Args:
        linear: the layer whose shape, bias and (unless on the meta device) weight it takes over.
        compute_dtype: what the weight is unpacked to for a product.
    """

    def __init__(self, linear: nn.Linear, compute_dtype: torch.dtype) -> None:
        with torch.device("meta"):
            super().__init__(linear.in_features, linear.out_features, False, compute_dtype, True, "nf4")
        self.support_avx512bf16_for_cpu = False  # that repacking forgets the scales' scales and gradients
        self.bias = linear.bias
        self.take_weight(linear.weight.data)

    def take_weight(self, weight: Tensor) -> None:
        """Pack a float weight (O, I), which stays on its device; on the meta device keep its place only."""
        options: dict[str, Any] = {
            "requires_grad": False,
            "quant_type": "nf4",
            "compress_statistics": True,
            "module": self,
        }
        if weight.is_meta:
            self.weight = bnb.nn.Params4bit(weight, **options)
            return
        # 7B weights keep a CPU busy for minutes: by way of a GPU where there is one
        fast = "cuda" if weight.device.type == "cpu" and torch.cuda.is_available() else weight.device
        packed, self.quant_state = bnb_functional.quantize_4bit(
            weight.contiguous().to(fast), blocksize=_BLOCK, compress_statistics=True, quant_type="nf4"
        )
        self.quant_state.to(weight.device)
        packed = packed.to(weight.device)
        self.weight = bnb.nn.Params4bit(packed, quant_state=self.quant_state, bnb_quantized=True, **options)

    # nn.Module's documented place to load in another way
    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Take a packed weight together with its scales; bitsandbytes would leave those behind."""
        start = f"{prefix}weight."
        scales = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        if scales and f"{prefix}weight" in state:
            self.weight = bnb.nn.Params4bit.from_prequantized(
                state[f"{prefix}weight"], scales, device=self.weight.device, module=self
            )
        super()._load_from_state_dict(state, prefix, *args)  # see above
        unexpected = args[3]
        unexpected[:] = [key for key in unexpected if not key.startswith(start)]


class Int8Linear(bnb.nn.Linear8bitLt):
    """A frozen linear layer in 8 bits with one scale per output.

    Source: LLM.int8(), arXiv:2208.07339.

    Args:
        linear: the layer whose shape, bias and (unless on the meta device) weight it takes over.
    """

    def __init__(self, linear: nn.Linear) -> None:
        with torch.device("meta"):
            super().__init__(
                linear.in_features, linear.out_features, False, has_fp16_weights=False, threshold=_OUTLIERS
            )
        # what the library makes of it at the first product, in place
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().half())
        self.take_weight(linear.weight.data)

    def take_weight(self, weight: Tensor) -> None:
        """Pack a float weight (O, I) on its own device; on the meta device keep its place only."""
        if weight.is_meta:
            self.weight = bnb.nn.Int8Params(weight, requires_grad=False)
            return
        packed, scale, _ = bnb_functional.int8_vectorwise_quant(weight.contiguous().half())
        self.weight = bnb.nn.Int8Params(packed, requires_grad=False, CB=packed, SCB=scale)

    weight: Any  # its scales are attributes of it

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) to (…, O) in the input's dtype; products and outliers are in float16."""
        return super().forward(x.half()).to(x.dtype)

    # what to(), cuda() and half() all call
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Int8Linear:
        """Move the scales along with the weight; bitsandbytes moves them only the first time."""
        super()._apply(fn, recurse)  # see above
        self._rejoin()
        return self

    # nn.Module's documented place to load in another way
    def _load_from_state_dict(self, *args: Any) -> None:
        """Take scales also after a pass, when bitsandbytes does not find its own."""
        self._rejoin()
        super()._load_from_state_dict(*args)  # see above

    def _rejoin(self) -> None:
        """Weight and scales in one place, as before the first pass, which separates them."""
        scale = self.state.SCB if self.weight.SCB is None else self.weight.SCB
        if scale is not None:
            self.state.CB = self.state.SCB = None
            self.weight.CB, self.weight.SCB = self.weight.data, scale.to(self.weight.device)
