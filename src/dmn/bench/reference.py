"""The published loop, one image at a time, written from method.md alone.

Slow and plain on purpose: tests compare the fast code with it and the benchmark measures it.
It shares no code with the rest of the package but the draws of the random entry rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmn.method.dynamic_memory import draw, rule_seed


@dataclass
class Variant:
    """The choices that the loop knows; defaults are the released program's."""

    length: int | None = 50
    beta: float = 5.5
    logit_scale: float = 100.0
    readout: str = "similarity"
    view_share: float = 0.1
    kind: str = "bias"
    update_before_read: bool = True
    text_slot: bool = True
    shots_in_dynamic: bool = True
    entry_rule: str = "entropy"
    seed: int = 0


@dataclass
class Answers:
    """What the loop found, with the fields of a network's result."""

    pseudo_label: list[int]
    entropy: list[float]
    text: Tensor
    dynamic: Tensor
    static: Tensor | None
    slot: list[int]
    evicted: list[int]
    memory_ids: list[list[int]]


class PlainLoop:
    """All state of the loop: text T [C, D], shots [C, K, D], their copies [C, A, D], biases."""

    def __init__(
        self,
        text: Tensor,
        shots: Tensor | None = None,
        copies: Tensor | None = None,
        biases: dict[str, Tensor] | None = None,
        variant: Variant | None = None,
    ) -> None:
        self.v = variant or Variant()
        self.b = biases or {}
        self.T = text / text.norm(dim=-1, keepdim=True)
        C, D = self.T.shape
        fixed = [self.T[:, None]] if self.v.text_slot else []
        self.static = None
        if shots is not None:
            shots = shots / shots.norm(dim=-1, keepdim=True)
            copies = shots if copies is None else copies / copies.norm(dim=-1, keepdim=True)
            self.static = torch.cat([self.T[:, None], copies], dim=1)
            if self.v.shots_in_dynamic:
                fixed.append(shots)
        self.fixed = torch.cat(fixed, dim=1) if fixed else self.T[:, None][:, :0]
        L = self.v.length or 0
        self.F = torch.zeros(C, L, D, dtype=text.dtype)
        self.E = torch.zeros(C, L, dtype=text.dtype)
        self.ids = [[-1] * L for _ in range(C)]
        self.seen = [0] * C
        self.t = 0

    def run(self, views: Tensor) -> Answers:
        """Take a stream of views [N, V, D] image by image."""
        C = len(self.T)
        empty = views.new_zeros(0, C)
        steps = [self.step(image) for image in views]
        return Answers(
            pseudo_label=[s[0] for s in steps],
            entropy=[s[1] for s in steps],
            text=torch.stack([s[2] for s in steps]) if steps else empty,
            dynamic=torch.stack([s[3] for s in steps]) if steps else empty,
            static=self._static_answers(steps, empty),
            slot=[s[5] for s in steps],
            evicted=[s[6] for s in steps],
            memory_ids=self.ids,
        )

    def _static_answers(self, steps: list[tuple], empty: Tensor) -> Tensor | None:
        if self.static is None:
            return None
        return torch.stack([s[4] for s in steps]) if steps else empty

    def step(self, views: Tensor) -> tuple:
        """One image, in the order of section 6."""
        views = views / views.norm(dim=-1, keepdim=True)
        p_text = torch.softmax(self.v.logit_scale * views @ self.text_classifier().T, dim=-1)
        y, H = self.pseudo_label(p_text)
        x = views[0]
        p_static = None if self.static is None else self.read_similarity(self.static, x, None)
        if self.v.update_before_read:
            slot, evicted = self.update(x, y, H)
            p_dynamic = self.read(x)
        else:
            p_dynamic = self.read(x)
            slot, evicted = self.update(x, y, H)
        self.t += 1
        return y, float(H), p_text[0], p_dynamic, p_static, slot, evicted

    def text_classifier(self) -> Tensor:
        """Section 2."""
        T = self.add("text", self.T)
        return T / T.norm(dim=-1, keepdim=True)

    def pseudo_label(self, p_text: Tensor) -> tuple[int, Tensor]:
        """Section 3: the mean over the views of least entropy."""
        h = -(p_text * torch.log(p_text + 1e-6)).sum(dim=-1)
        m = max(1, int(len(p_text) * self.v.view_share))
        q = p_text[h.argsort(stable=True)[:m]].mean(dim=0)
        return int(q.argmax()), -(q * torch.log(q + 1e-8)).sum()

    def update(self, x: Tensor, y: int, H: Tensor) -> tuple[int, int]:
        """Section 4, and the entry rules that the studies compare with it."""
        self.seen[y] += 1
        slot = self.choose_slot(y, float(H))
        if slot < 0:
            return -1, -1
        if slot == self.F.shape[1]:
            C, _, D = self.F.shape
            self.F = torch.cat([self.F, self.F.new_zeros(C, 1, D)], dim=1)
            self.E = torch.cat([self.E, self.E.new_zeros(C, 1)], dim=1)
            self.ids = [[*row, -1] for row in self.ids]
        evicted = self.ids[y][slot]
        self.F[y, slot], self.E[y, slot], self.ids[y][slot] = x, H, self.t
        return slot, evicted

    def choose_slot(self, y: int, H: float) -> int:
        """Return a free slot, else the one that the entry rule gives up, else -1."""
        ids, L = self.ids[y], self.v.length
        if -1 in ids:
            return ids.index(-1)
        if L is None:
            return len(ids)
        if self.v.entry_rule == "fifo":
            return ids.index(min(ids))
        if self.v.entry_rule == "random":
            return draw(rule_seed(self.v.seed), self.t) % L
        if self.v.entry_rule == "reservoir":
            place = draw(rule_seed(self.v.seed), self.t) % self.seen[y]
            return place if place < L else -1
        worst = max(range(L), key=lambda j: (float(self.E[y, j]), ids[j]))
        return worst if float(self.E[y, worst]) > H else -1

    def read(self, x: Tensor) -> Tensor:
        """Sections 5 to 8: dynamic slots with the fixed part behind them."""
        R = torch.cat([self.F, self.fixed], dim=1)
        used = [[i >= 0 for i in row] + [True] * self.fixed.shape[1] for row in self.ids]
        filled = torch.tensor(used, dtype=R.dtype).reshape(R.shape[:2])
        if self.v.readout == "similarity":
            return self.read_similarity(R, x, filled)
        if self.v.readout == "center":
            g = (R * filled[..., None]).sum(dim=1)
        else:
            E = torch.cat([self.E, torch.zeros(R.shape[0], self.fixed.shape[1], dtype=R.dtype)], 1)
            uniform = torch.log(torch.tensor(float(len(R)), dtype=R.dtype))
            g = (((uniform - E) * filled)[..., None] * R).sum(dim=1)
        return torch.softmax(self.v.logit_scale * self.unit(g) @ x, dim=-1)

    def read_similarity(self, R: Tensor, x: Tensor, filled: Tensor | None) -> Tensor:
        """Section 7, steps 1 to 7."""
        shift = self.b.get("query")
        if shift is not None and self.v.kind == "bias":
            shift = shift.mean(dim=0)
        u = x if shift is None else x + (shift if self.v.kind == "bias" else shift @ x)
        u = u / u.norm()
        k, v = self.unit(self.add("key", R)), self.unit(self.add("value", R))
        w = torch.exp(-self.v.beta * (1 - k @ u))
        if filled is not None:
            w = w * filled
        a = self.unit((w[..., None] * v).sum(dim=1))
        a = self.unit(self.add("output", a))
        return torch.softmax(self.v.logit_scale * (a @ x), dim=-1)

    def add(self, name: str, r: Tensor) -> Tensor:
        """Add a class-wise bias, or the residual of a linear layer."""
        p = self.b.get(name)
        if p is None:
            return r
        if self.v.kind == "linear":
            return r + r @ p.T
        return r + (p if r.ndim == 2 else p[:, None])

    @staticmethod
    def unit(a: Tensor) -> Tensor:
        """Return n(a), zero where a class has no slot at all."""
        norm = a.norm(dim=-1, keepdim=True)
        return torch.where(norm > 0, a / norm, torch.zeros_like(a))
