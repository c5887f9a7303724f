"""The processes of one run: one, or those that torchrun started, on one machine or several.

A step of several processes computes what one process with the whole batch would: gradients are averaged over equal
shares, and BatchNorm takes its statistics from all of them. All processes must see the run's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import backbones

T = TypeVar("T")
_PATIENCE = timedelta(hours=1)  # of the others, while one indexes a large data set


@dataclass(frozen=True)
class Processes:
    """This process, `rank` of `count`, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def by_leader(self, act: Callable[[], T]) -> T:
        """What `act` returns in the leading process, for all. Its LearnError ends them all."""
        said: list[Any] = [None, None]
        if self.leads:
            try:
                said[0] = act()
            except (LearnError, OSError) as error:
                said[1] = str(error)
                if self.count == 1:
                    raise
        if self.count > 1:
            distributed.broadcast_object_list(said, src=0)
        if said[1] is not None:
            raise LearnError(said[1])
        result: T = said[0]
        return result

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in their order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The average over the processes."""
        if self.count == 1:
            return values
        values = values.clone()
        distributed.all_reduce(values)
        return values / self.count

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, batch: int) -> int:
        """This process's part of a batch. LearnError where it does not divide."""
        if batch % self.count:
            raise LearnError(f"batch is {batch}, wanted a multiple of the {self.count} processes")
        return batch // self.count

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network`, or what averages its gradients over the processes."""
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            network, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    def synchronised(self, network: nn.Module) -> None:
        """Makes every BatchNorm of `network` take its statistics from all processes; names of tensors stay."""
        if self.count == 1:
            return
        if self.device.type == "cuda":
            backbones.synchronised(network)
            return
        for module in list(network.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, SynchronisedBatchNorm(child))
                elif isinstance(child, nn.modules.batchnorm._BatchNorm):
                    raise LearnError(
                        f"{type(child).__name__} cannot take its statistics from several processes on CPUs: "
                        "use one process, GPUs, or another student"
                    )


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """This process among those of torchrun, which tells by environment variables; alone without it.

    device: auto, cpu or cuda. Raises LearnError for a GPU that is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise LearnError(f"machine.device is {device!r}, wanted auto, cpu or cuda")
    on_gpu = torch.cuda.is_available() if device == "auto" else device == "cuda"
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and local >= torch.cuda.device_count():
        raise LearnError(
            f"machine.device is {device}: process {local} of this machine has no GPU, {torch.cuda.device_count()} are "
            "there; start as many processes as GPUs (torchrun --nproc-per-node), or use cpu"
        )
    chosen = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(chosen)
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), chosen)
    finally:
        distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes, with its gradient (each process's loss depends on all shares)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004
        values = values.contiguous().clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        gradient = gradient.contiguous().clone()
        distributed.all_reduce(gradient)
        return gradient


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the shares of all processes, which torch has for GPUs only. Shares are equally large."""

    def __init__(self, other: nn.BatchNorm2d) -> None:
        super().__init__(other.num_features, other.eps, other.momentum, other.affine, other.track_running_stats)
        self.load_state_dict(other.state_dict())
        self.to(next(iter(other.state_dict().values())).device)

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.BatchNorm2d`, of images (B, C, h, w)."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        count = values.numel() // values.shape[1] * distributed.get_world_size()
        mean = _sum(values.sum((0, 2, 3))) / count
        apart = values - mean.view(1, -1, 1, 1)
        variance = _sum(apart.square().sum((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * count / max(1, count - 1))
        scaled = apart * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        if self.affine:
            scaled = scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return scaled.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total
