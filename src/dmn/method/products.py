"""Shapes of products whose numbers depend on their two vectors alone.

The library cuts a product into small ones, and what is left over at its ends takes another path
and differs in the last bit. With rows and columns in these multiples nothing is left over, under
any of its kernels (rows go by 4, 6 or 8, columns by 6, 8, 12, 16, 24 or 48): a number does not
depend on what else is in the product. Small products take another path too.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS, COLUMNS = 24, 48
LEAST_ROWS, LEAST_COLUMNS = 72, 96


def fitting_rows(count: int) -> int:
    """Return how many rows a product of `count` rows shall have."""
    return max(LEAST_ROWS, -(-count // ROWS) * ROWS)


def fitting_columns(count: int) -> int:
    """Return how many columns a product of `count` columns shall have."""
    return max(LEAST_COLUMNS, -(-count // COLUMNS) * COLUMNS)


def padded(x: Tensor, count: int) -> Tensor:
    """Return rows x [B, D] with rows of zeros up to `count` of them."""
    missing = count - len(x)
    return x if not missing else torch.cat([x, x.new_zeros(missing, x.shape[1])])


def softmax_of_columns(logits: Tensor, first: int, out: Tensor) -> None:
    """Fill out [b, C] with the softmax over classes of logits [C, B], from column `first` on."""
    torch.softmax(logits[:, first : first + len(out)].mT, dim=-1, out=out)
