"""Class-wise biases without biased copies of the slots (method.md, section 12).

`<x + a, r + b>` needs only `<x, r>` and products of each side with the biases, so that raw
products of images and slots serve queries, keys, values and Gram matrices at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.engine.compiled.kernels import Output, Shift
from dmn.method.products import LEAST_COLUMNS
from dmn.method.projections import Projections

ROWS = 4096


class Biases(NamedTuple):
    """What biases add to products: arrays by table row [M], by image [N] and by class [C].

    shifted: query, key or value bias acts; biased: an output bias acts.
    """

    shifted: bool
    biased: bool
    key: Tensor
    value: Tensor
    output: Tensor
    query_norm: np.ndarray
    key_norm: np.ndarray
    key_shift: np.ndarray
    value_norm: np.ndarray
    value_shift: np.ndarray
    value_square: np.ndarray
    slot_output: np.ndarray
    output_square: np.ndarray

    @classmethod
    def of(cls, projections: Projections, table: Tensor, x: Tensor, label: np.ndarray) -> Biases:
        """Prepare class-wise biases for slots `table` [M, D] of class `label` [M], images x."""
        p = projections
        bias = p.kind == "bias"
        shifted = bias and any(b is not None for b in (p.query, p.key, p.value))
        biased = bias and p.output is not None
        C = int(label.max()) + 1 if len(label) else 1
        known = next((b for b in (p.query, p.key, p.value, p.output) if b is not None), None)
        zero = table.new_zeros(C if known is None or not bias else len(known), table.shape[1])
        key, value, output = (
            zero if b is None or not bias else b for b in (p.key, p.value, p.output)
        )
        shift = zero[0] if p.query is None or not bias else p.query.mean(dim=0)
        if not (shifted or biased):
            table, x, label = table[:0], x[:0], label[:0]
        facts = _slot_facts(table, torch.from_numpy(label), key, value, output, shift)
        query_norm = _reciprocal(torch.cat([_norms(x, shift), x.new_zeros(LEAST_COLUMNS)]))
        square = [(b * b).sum(dim=-1).numpy() for b in (value, output)]
        return cls(
            shifted,
            biased,
            key,
            value,
            output,
            query_norm,
            key_norm=facts[0],
            key_shift=facts[1],
            value_norm=facts[2],
            value_shift=facts[3],
            value_square=square[0],
            slot_output=facts[4],
            output_square=square[1],
        )

    def rows(self, c0: int, c1: int) -> list[Tensor]:
        """Return the biases of a chunk of classes whose products with images are needed."""
        found = [self.key[c0:c1], self.value[c0:c1]] if self.shifted else []
        return found + ([self.output[c0:c1]] if self.biased else [])

    def slots(self, places: np.ndarray, c0: int, c1: int, start: int) -> tuple[Shift, Output]:
        """Return what the compiled loop needs of a chunk's slots, and of images from `start` on."""
        used = places if self.shifted or self.biased else places[:0]
        none = np.empty((0, 0), self.key_norm.dtype)
        shift = Shift(
            self.query_norm[start:],
            self.key_norm[used],
            self.key_shift[used],
            self.value_norm[used],
            self.value_shift[used],
            self.value_square[c0:c1],
            none,
            none,
        )
        return shift, Output(self.slot_output[used], none, self.output_square[c0:c1])

    def meet(self, shift: Shift, output: Output, extra: np.ndarray) -> tuple[Shift, Output]:
        """Return both with `extra`, the products of `rows` with the images of a part."""
        n = len(output.square)
        if self.shifted:
            shift = shift._replace(key_extra=extra[:n], value_extra=extra[n : 2 * n])
        if self.biased:
            output = output._replace(query=extra[len(extra) - n :])
        return shift, output


def _slot_facts(
    table: Tensor, label: Tensor, key: Tensor, value: Tensor, output: Tensor, shift: Tensor
) -> list[np.ndarray]:
    """Return key_norm, key_shift, value_norm, value_shift and slot_output of all slots [M]."""
    facts = table.new_zeros(5, len(table))
    for start in range(0, len(table), ROWS):
        r, c = table[start : start + ROWS], label[start : start + ROWS]
        k, v = r + key[c], r + value[c]
        part = facts[:, start : start + ROWS]
        part[0], part[1] = torch.linalg.vector_norm(k, dim=-1), k @ shift
        part[2], part[3] = torch.linalg.vector_norm(v, dim=-1), (r * value[c]).sum(dim=-1)
        part[4] = (v * output[c]).sum(dim=-1)
    key_norm, value_norm = _reciprocal(facts[0]), _reciprocal(facts[2])
    return [key_norm, facts[1].numpy(), value_norm, facts[3].numpy(), facts[4].numpy() * value_norm]


def _norms(x: Tensor, shift: Tensor) -> Tensor:
    """Return |x + shift| [N] without a moved copy of all images."""
    parts = [torch.linalg.vector_norm(part + shift, dim=-1) for part in x.split(ROWS)]
    return torch.cat(parts) if parts else x.new_zeros(0)


def _reciprocal(norm: Tensor) -> np.ndarray:
    """Return 1 / norm, zero for zero."""
    return torch.where(norm > 0, 1 / norm, torch.zeros_like(norm)).numpy()
