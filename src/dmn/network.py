"""The Dual Memory Network, in the order of the paper (method.md, section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from dmn import artifacts
from dmn.engine import many
from dmn.engine.evaluate import Result, evaluate, evaluate_blocks
from dmn.engine.many import ManyResult
from dmn.engine.recorded import BLOCK
from dmn.errors import ArtifactError, FeatureError
from dmn.method.checks import as_tensor, as_views, check_positive, selected_views
from dmn.method.dynamic_memory import DynamicMemory
from dmn.method.model import Model, check_features
from dmn.method.projections import Projections
from dmn.method.readout import (
    center_weights,
    entropy_weights,
    logits,
    output,
    query,
    similarity_weights,
    weighted_sum,
)
from dmn.method.slots import LiveSlots, Slots
from dmn.method.text import normalise, predict


class DualMemoryNetwork:
    """Text classifier, dynamic memory and static memory over frozen features.

    text [C, D]; shots [C, K, D], None in zero-shot; shots_views [C, A, D] or [C, K, V, D]: the
    copies of the shots that the static memory holds instead of the plain ones. All features are
    normalised here. The keyword options from `update_before_read` on default to the authors'
    program; `length` None is an unlimited memory, `seed` feeds the entry rules random and
    reservoir. Raises FeatureError and ConfigError before any work.
    """

    def __init__(
        self,
        text: object,
        shots: object = None,
        length: int | None = 50,
        beta: float = 5.5,
        logit_scale: float = 100.0,
        readout: str = "similarity",
        projections: Projections | None = None,
        position: str = "all",
        view_share: float = 0.1,
        *,
        shots_views: object = None,
        update_before_read: bool = True,
        text_slot: bool = True,
        shots_in_dynamic: bool = True,
        entry_rule: str = "entropy",
        seed: int = 0,
        dtype: torch.dtype | str = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.given_projections = Projections("bias") if projections is None else projections
        self.features = check_features(text, shots, shots_views, dtype, device)
        self.options: dict[str, Any] = {
            "length": length,
            "beta": beta,
            "logit_scale": logit_scale,
            "readout": readout,
            "position": position,
            "view_share": view_share,
            "update_before_read": update_before_read,
            "text_slot": text_slot,
            "shots_in_dynamic": shots_in_dynamic,
            "entry_rule": entry_rule,
            "seed": seed,
        }
        self.model = Model.of(self.features, self.given_projections, **self.options)
        projections = self.model.projections.for_readout(readout)
        self._dynamic_slots = LiveSlots(self.model.fixed, projections)
        self._static_slots: Slots | None = None

    @classmethod
    def of_memory(cls, memory: np.ndarray | Tensor, **options: Any) -> DualMemoryNetwork:
        """Return the network of a static memory [C, 1+K, D]: each class's text, then its shots."""
        return cls(memory[:, 0], memory[:, 1:], **options)

    @cached_property
    def memory(self) -> DynamicMemory:
        """The memory that `step` fills; made where it is asked for, because it may be large."""
        return self.empty_memory()

    def empty_memory(self) -> DynamicMemory:
        """Return a dynamic memory without any image, as `reset` puts in place."""
        m = self.model
        return DynamicMemory(
            m.classes, m.dimension, m.length, m.entry_rule, m.seed, m.dtype, m.device
        )

    def reset(self) -> None:
        """Forget all images that `step` has seen."""
        self.memory = self.empty_memory()

    @torch.no_grad()
    def step(self, views: object) -> Result:
        """Answer one image of a live stream, views [V, D], and remember it (section 6).

        The fields of the result lack the axis N. Raises FeatureError.
        """
        tensor = as_tensor(views, "views")
        m = self.model
        checked = as_views(tensor[None, None] if tensor.ndim == 1 else tensor[None], m.dimension)
        kept = selected_views(checked.shape[1], m.view_share)
        unit = normalise(checked.to(m.device, m.dtype))
        p, label, entropy = predict(unit, m.columns, m.classes, m.logit_scale, kept)
        x = unit[:, 0]
        static = None if m.static is None else self.read_static(x)[0]
        if not m.update_before_read:
            dynamic = self.read_dynamic(x)[0]
        slot, evicted = self.memory.update(x[0], int(label), entropy[0])
        if m.update_before_read:
            dynamic = self.read_dynamic(x)[0]
        written = torch.tensor([slot, evicted])
        return Result(
            label[0], entropy[0], p[0], dynamic, static, written[0], written[1],
            start=self.memory.steps - 1,
        )  # fmt: skip

    def read_dynamic(self, x: Tensor) -> Tensor:
        """Return the dynamic prediction [B, C] of images x [B, D] (sections 5, 7 and 8)."""
        m, slots = self.model, self._dynamic_slots.of(self.memory)
        if m.readout == "similarity":
            return self._read(slots, x)
        g = weighted_sum(self.attention(x), slots.value).expand(len(x), -1, -1)
        return torch.softmax(logits(g, x, m.logit_scale), dim=-1)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights w of the slots of the dynamic memory for images x [B, D].

        [B, C, L + F], or [1, C, L + F] where a read-out looks at no image: L slots of images, in
        the order of `memory.ids`, then F fixed ones, text before shots; 0 for empty slots.
        """
        m, slots = self.model, self._dynamic_slots.of(self.memory)
        if m.readout == "similarity":
            return similarity_weights(query(x, m.projections), slots.key, slots.filled, m.beta)
        if m.readout == "center":
            return center_weights(slots.filled, m.dtype)
        zero = torch.zeros(m.fixed.shape[:2], dtype=m.dtype, device=m.device)
        return entropy_weights(torch.cat([self.memory.entropy, zero], dim=1), slots.filled)

    def read_static(self, x: Tensor) -> Tensor:
        """Return the static prediction [B, C] of images x [B, D] (section 7)."""
        static = self.model.static
        if static is None:
            raise FeatureError("there is no static memory in zero-shot; give shots [C, K, D]")
        if self._static_slots is None:
            filled = torch.ones(static.shape[:2], dtype=torch.bool, device=static.device)
            self._static_slots = Slots.of(static, filled, self.model.projections)
        return self._read(self._static_slots, x)

    def _read(self, slots: Slots, x: Tensor) -> Tensor:
        """Run the seven steps of section 7, the second of which the slots have behind them."""
        m = self.model
        u = query(x, m.projections)
        w = similarity_weights(u, slots.key, slots.filled, m.beta)
        a = output(weighted_sum(w, slots.value), m.projections)
        return torch.softmax(logits(a, x, m.logit_scale), dim=-1)

    @overload
    def evaluate(self, views: object, *, order: object = ..., blocks: Literal[False] = ...,
                 block_size: int = ..., num_threads: int | None = ...) -> Result: ...  # fmt: skip
    @overload
    def evaluate(self, views: object, *, order: object = ..., blocks: Literal[True],
                 block_size: int = ..., num_threads: int | None = ...
                 ) -> Iterator[Result]: ...  # fmt: skip
    def evaluate(
        self,
        views: object,
        *,
        order: object = None,
        blocks: bool = False,
        block_size: int = BLOCK,
        num_threads: int | None = None,
    ) -> Result | Iterator[Result]:
        """Answer a recorded stream, views [N, V, D] or [N, D], starting with an empty memory.

        `order` [N], a permutation of the rows, is the order of the stream; results come in the
        order of the stream, their row i belonging to views[order[i]]. With `blocks` they come as
        an iterator over blocks of `block_size` images and nothing of size N x C is kept. The
        memory of `step` is not touched. Raises FeatureError.
        """
        check_positive(block_size, "block_size")
        run = evaluate_blocks if blocks else evaluate
        with torch.no_grad():
            return run(self.model, views, order, int(block_size), num_threads)

    def save(self, path: Path | str) -> None:
        """Write the network and the memory of its live stream as safetensors."""
        text, shots, copies = self.features
        tensors = {"text": text, "shots": shots, "shots_views": copies}
        arrays = {k: t.cpu().numpy() for k, t in tensors.items() if t is not None}
        for name, tensor in self.given_projections.tensors().items():
            arrays[f"projection.{name}"] = tensor.cpu().numpy()
        for name, array in self.memory.state().items():
            arrays[f"memory.{name}"] = array
        dtype = str(self.model.dtype).split(".")[-1]
        facts = self.options | {"dtype": dtype, "kind": self.given_projections.kind}
        artifacts.write_tensors(path, arrays, facts)

    @classmethod
    def load(cls, path: Path | str, device: torch.device | str = "cpu") -> DualMemoryNetwork:
        """Read a network that `save` wrote; its live stream goes on where it stopped."""
        arrays = artifacts.read_tensors(path)
        facts: dict[str, Any] = artifacts.read_tensor_metadata(path)
        if "text" not in arrays or "kind" not in facts:
            raise ArtifactError(f"{path} is not a saved network; write one with save()")
        kind = facts.pop("kind")
        given = _group(arrays, "projection.")
        network = cls(
            arrays["text"],
            arrays.get("shots"),
            shots_views=arrays.get("shots_views"),
            projections=Projections(kind, **{k: torch.from_numpy(a) for k, a in given.items()}),
            device=device,
            **facts,
        )
        network.memory.resume(_group(arrays, "memory."))
        return network

    def resume(self, path: Path | str) -> None:
        """Take over the live memory of a saved network.

        Raises FeatureError where it has another number of classes, slots or dimensions.
        """
        state = _group(artifacts.read_tensors(path), "memory.")
        if "features" not in state:
            raise ArtifactError(f"{path} has no memory; write one with save()")
        self.memory.resume(state)


def _group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def evaluate_many(
    network: DualMemoryNetwork,
    views: object,
    permutations: Sequence[object],
    lengths: Sequence[int] | None = None,
    betas: Sequence[float] | None = None,
    **options: Any,
) -> ManyResult:
    """Evaluate all stream orders, lengths and betas at once: `dmn.engine.many.evaluate_many`."""
    return many.evaluate_many(network.model, views, permutations, lengths, betas, **options)
