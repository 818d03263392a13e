"""Sums over all processes of a distributed training, through which gradients flow.

For quantities of the whole batch that are not means over clips, such as covariances: a process sees
only its part of the batch.
"""

from __future__ import annotations

from torch import Tensor, distributed


def num_processes() -> int:
    """Number of processes that train together; 1 without torch.distributed."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes, the same on each of them.

    The gradients are those for training with ``DistributedDataParallel``, which *averages* the
    gradients of W processes. If all processes compute one and the same loss from such sums, its
    gradient with respect to the sum is the same everywhere. W times that gradient goes into each
    process's own values, so that the average over the processes is the gradient of the loss of the
    whole batch. Backward needs no communication.

    Args:
        values: float tensor of the same shape on all processes.
    """
    count = num_processes()
    if count == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total + count * (values - values.detach())
