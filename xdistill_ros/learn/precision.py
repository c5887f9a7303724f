"""Where networks are computed in bfloat16: one place decides for all of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch


def bf16(device_type: str, wanted: bool = True) -> torch.autocast:
    """Autocast to bfloat16 for what runs on "cpu" or "cuda": where it is wanted, and the processor computes in it.

    One without such instructions emulates them: ResNet-18's training step then takes 2.4 times as long as in fp32
    (Xeon with AVX-512 but without its bf16 part, oneDNN 3).
    """
    return torch.autocast(device_type, torch.bfloat16, enabled=wanted and computes_bf16(device_type))


@cache
def computes_bf16(device_type: str) -> bool:
    """Whether the processor has instructions for it; a CPU of which this torch cannot tell counts as without."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 has none
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # the last is ARM's
