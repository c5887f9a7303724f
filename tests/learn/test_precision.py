"""Half precision is used where a processor computes in it, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from xdistill_ros.learn import precision


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    precision.computes_bf16.cache_clear()
    yield
    precision.computes_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "wanted", "computed_in"),
    [
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, True, torch.bfloat16),
        ({"bf16": True}, True, torch.bfloat16),
        ({"avx512_bf16": True}, False, torch.float32),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, True, torch.float32),
        ({}, True, torch.float32),
    ],
)
def test_the_cpu_computes_in_bf16_only_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], wanted: bool, computed_in: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with precision.bf16("cpu", wanted):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == computed_in


def test_a_torch_that_cannot_tell_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    with precision.bf16("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_gpu_is_asked_for_instructions_and_not_for_their_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not precision.computes_bf16("cuda")
