"""AdamW with a cosine schedule per step, for parameters of a few thousand numbers.

The arithmetic is torch's own `adamw`, on one flat tensor of all parameters. By hand around it,
because the class `torch.optim.AdamW` loads torch's compiler first, which takes longer than a
training here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) over leaf tensors.

    The parameters become views of one flat tensor, and so do their gradients: `zero_grad`, the
    loss's `backward`, then `step`.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradients = torch.zeros_like(self.values)
        self.means, self.squares = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.steps = torch.zeros((), dtype=torch.float32)
        sizes = [p.numel() for p in parameters]
        parts = zip(self.values.split(sizes), self.gradients.split(sizes), strict=True)
        for p, (value, gradient) in zip(parameters, parts, strict=True):
            p.data, p.grad = value.view_as(p), gradient.view_as(p)

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place."""
        self.gradients.zero_()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters against their gradients."""
        adamw(
            [self.values], [self.gradients], [self.means], [self.squares], [], [self.steps],
            foreach=False, amsgrad=False, beta1=self.betas[0], beta2=self.betas[1],
            lr=learning_rate, weight_decay=self.weight_decay, eps=self.eps, maximize=False,
        )  # fmt: skip


def cosine(step: int, steps: int, first: float, last: float = 0.0) -> float:
    """Return the learning rate of a step: from `first` along half a cosine towards `last`."""
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
