"""The static memory and the fixed part of the dynamic one (method.md, section 5)."""

from __future__ import annotations

import torch
from torch import Tensor


def static_memory(text: Tensor, shots: Tensor) -> Tensor:
    """Return M_s [C, 1+A, D]: slot 0 the text feature, then all copies of the shots [C, A, D]."""
    return torch.cat([text[:, None], shots], dim=1)


def fixed_part(
    text: Tensor, shots: Tensor | None, text_slot: bool = True, shots_in_dynamic: bool = True
) -> Tensor:
    """Return M_f [C, F, D], which every read of the dynamic memory sees behind its L slots.

    F = 1+K: text feature [C, D] and plain shots [C, K, D]; an ablation can leave either out.
    """
    parts = [text[:, None]] if text_slot else [text[:, None][:, :0]]
    if shots is not None and shots_in_dynamic:
        parts.append(shots)
    return torch.cat(parts, dim=1)
