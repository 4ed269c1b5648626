"""Reading a memory: one function for each equation (method.md, sections 7 and 8).

Slots R are [C, S, D], images x [B, D] with unit norm; a class without any slot reads as zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmn.method.projections import Projections, project
from dmn.method.text import normalise


def normalise_or_zero(x: Tensor) -> Tensor:
    """Return n(x) along the last axis, zero for a zero vector."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.where(norm > 0, x / norm, torch.zeros_like(x))


def query(x: Tensor, projections: Projections) -> Tensor:
    """Return u [B, D] = n(x + mean_c B_q[c]), or n(x + W_q x) (section 7, step 1)."""
    shift = projections.query
    if shift is not None and projections.kind == "bias":
        shift = shift.mean(dim=0)
    return normalise(project(x, shift, projections.kind))


def keys(slots: Tensor, projections: Projections) -> Tensor:
    """Return k_cj [C, S, D] = n(R_cj + B_k[c]) (section 7, step 2)."""
    return normalise_or_zero(_project_slots(slots, projections.key, projections))


def values(slots: Tensor, projections: Projections) -> Tensor:
    """Return v_cj [C, S, D] = n(R_cj + B_v[c]) (section 7, step 2)."""
    return normalise_or_zero(_project_slots(slots, projections.value, projections))


def _project_slots(slots: Tensor, projection: Tensor | None, projections: Projections) -> Tensor:
    if projection is not None and projections.kind == "bias":
        projection = projection[:, None]
    return project(slots, projection, projections.kind)


def similarity_weights(u: Tensor, k: Tensor, filled: Tensor, beta: float) -> Tensor:
    """Return w_cj [B, C, S] = exp(-beta (1 - <u, k_cj>)), 0 for empty slots (steps 3 and 4)."""
    similarity = torch.einsum("bd,csd->bcs", u, k)
    return torch.exp(-beta * (1 - similarity)) * filled


def entropy_weights(slot_entropy: Tensor, filled: Tensor) -> Tensor:
    """Return log C - E_cj [1, C, S], 0 for empty slots; fixed slots have E = 0 (section 8)."""
    C = len(slot_entropy)
    uniform = torch.log(torch.tensor(float(C), dtype=slot_entropy.dtype))
    return ((uniform.to(slot_entropy.device) - slot_entropy) * filled)[None]


def center_weights(filled: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 [1, C, S], 0 for empty slots: the direction of the class's mean (section 8)."""
    return filled.to(dtype)[None]


def weighted_sum(w: Tensor, v: Tensor) -> Tensor:
    """Return a_c [B, C, D] = n(sum_j w_cj v_cj) (section 7, step 5)."""
    return normalise_or_zero(torch.einsum("bcs,csd->bcd", w, v))


def output(a: Tensor, projections: Projections) -> Tensor:
    """Return a_c [B, C, D] = n(a_c + B_o[c]) (section 7, step 6)."""
    return normalise_or_zero(project(a, projections.output, projections.kind))


def logits(a: Tensor, x: Tensor, logit_scale: float) -> Tensor:
    """Return s <a_c, x> [B, C], with the original image and not the query (section 7, step 7)."""
    return logit_scale * torch.einsum("bcd,bd->bc", a, x)
