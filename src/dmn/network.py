"""The Dual Memory Network, in the order of the paper (method.md, section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from dmn import artifacts
from dmn.engine.evaluate import BLOCK, Result, evaluate, evaluate_blocks
from dmn.errors import ArtifactError, ConfigError, FeatureError
from dmn.method.checks import (
    as_tensor,
    as_views,
    check_dimension,
    check_length,
    check_positive,
    check_vectors,
    selected_views,
)
from dmn.method.dynamic_memory import DynamicMemory, check_entry_rule
from dmn.method.projections import Projections
from dmn.method.readout import (
    center_weights,
    check_readout,
    entropy_weights,
    logits,
    output,
    query,
    similarity_weights,
    weighted_sum,
)
from dmn.method.slots import LiveSlots, Slots
from dmn.method.static_memory import fixed_part, static_memory
from dmn.method.text import fitting_columns, normalise, padded, predict, text_classifier

DTYPES = {"float32": torch.float32, "float64": torch.float64}
OPTIONS = (
    "length", "beta", "logit_scale", "readout", "position", "view_share", "update_before_read",
    "text_slot", "shots_in_dynamic", "entry_rule", "seed",
)  # fmt: skip


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
        self.dtype, self.device = _dtype(dtype), torch.device(device)
        self.length = check_length(length)
        self.beta = check_positive(beta, "beta")
        self.logit_scale = check_positive(logit_scale, "logit_scale")
        self.readout = check_readout(readout)
        self.entry_rule = check_entry_rule(entry_rule)
        self.view_share = check_positive(view_share, "view_share")
        if self.view_share > 1:
            raise ConfigError(f"view_share is {view_share!r}; it is a share, at most 1")
        self.update_before_read, self.seed = bool(update_before_read), int(seed)
        self.text_slot, self.shots_in_dynamic = bool(text_slot), bool(shots_in_dynamic)
        self.text = self._unit(text, "text", "C D")
        self.classes, self.dimension = self.text.shape
        if self.classes == 0:
            raise FeatureError("text has shape [0, D]: there is no class; give one row a class")
        self._set_projections(projections, position)
        self._set_memories(shots, shots_views)

    def _unit(self, value: object, what: str, axes: str) -> Tensor:
        """Return checked vectors, normalised, on the network's device."""
        tensor = as_tensor(value, what)
        check_vectors(tensor, what, axes)
        return normalise(tensor.to(self.device, self.dtype))

    def _set_projections(self, projections: Projections | None, position: str) -> None:
        self.position = position
        given = Projections("bias") if projections is None else projections
        given.check_fits(self.classes, self.dimension)
        self.given_projections = given
        self.projections = given.at(position).to(self.device, self.dtype)
        self.classifier = text_classifier(self.text, self.projections)
        self.columns = padded(self.classifier, fitting_columns(self.classes))

    def _set_memories(self, shots: object, shots_views: object) -> None:
        """Build the fixed part of the dynamic memory and the static memory (section 5)."""
        self.shots = None if shots is None else self._unit(shots, "shots", "C K D")
        self.copies: Tensor | None = None
        if shots_views is not None:
            copies = as_tensor(shots_views, "shots_views")
            flat = copies.flatten(1, 2) if copies.ndim == 4 else copies
            self.copies = self._unit(flat, "shots_views", "C A D")
        for tensor, what in ((self.shots, "shots"), (self.copies, "shots_views")):
            if tensor is not None:
                self._check_shots(tensor, what)
        if self.copies is not None and self.shots is None:
            raise FeatureError("shots_views without shots; give the plain shots [C, K, D] too")
        self.fixed = fixed_part(self.text, self.shots, self.text_slot, self.shots_in_dynamic)
        self.static: Tensor | None = None
        if self.shots is not None:
            copies = self.shots if self.copies is None else self.copies
            self.static = static_memory(self.text, copies)
        self.memory = self.empty_memory()
        self._dynamic_slots = LiveSlots(self.fixed, self.projections.for_readout(self.readout))
        self._static_slots: Slots | None = None

    def _check_shots(self, tensor: Tensor, what: str) -> None:
        check_dimension(tensor, self.dimension, what)
        if len(tensor) != self.classes or tensor.shape[1] == 0:
            raise FeatureError(
                f"{what} has shape {list(tensor.shape)} and text has C={self.classes} classes; "
                "give at least one shot for each class, or shots=None for zero-shot"
            )

    def empty_memory(self) -> DynamicMemory:
        """Return a dynamic memory without any image, as `reset` puts in place."""
        return DynamicMemory(
            self.classes, self.dimension, self.length, self.entry_rule, self.seed, self.dtype,
            self.device,
        )  # fmt: skip

    def reset(self) -> None:
        """Forget all images that `step` has seen."""
        self.memory = self.empty_memory()

    @torch.no_grad()
    def step(self, views: object) -> Result:
        """Answer one image of a live stream, views [V, D], and remember it (section 6).

        The fields of the result lack the axis N. Raises FeatureError.
        """
        tensor = as_tensor(views, "views")
        checked = as_views(tensor[None, None] if tensor.ndim == 1 else tensor[None], self.dimension)
        kept = selected_views(checked.shape[1], self.view_share)
        unit = normalise(checked.to(self.device, self.dtype))
        p, label, entropy = predict(unit, self.columns, self.classes, self.logit_scale, kept)
        x = unit[:, 0]
        static = None if self.static is None else self.read_static(x)[0]
        if not self.update_before_read:
            dynamic = self.read_dynamic(x)[0]
        slot, evicted = self.memory.update(x[0], int(label), entropy[0])
        if self.update_before_read:
            dynamic = self.read_dynamic(x)[0]
        written = torch.tensor([slot, evicted])
        return Result(
            label[0], entropy[0], p[0], dynamic, static, written[0], written[1],
            start=self.memory.steps - 1,
        )  # fmt: skip

    def read_dynamic(self, x: Tensor) -> Tensor:
        """Return the dynamic prediction [B, C] of images x [B, D] (sections 5, 7 and 8)."""
        slots = self._dynamic_slots.of(self.memory)
        if self.readout == "similarity":
            return self._read(slots, x)
        if self.readout == "center":
            w = center_weights(slots.filled, self.dtype)
        else:
            zero = torch.zeros(self.fixed.shape[:2], dtype=self.dtype, device=self.device)
            w = entropy_weights(torch.cat([self.memory.entropy, zero], dim=1), slots.filled)
        g = weighted_sum(w, slots.value).expand(len(x), -1, -1)
        return torch.softmax(logits(g, x, self.logit_scale), dim=-1)

    def read_static(self, x: Tensor) -> Tensor:
        """Return the static prediction [B, C] of images x [B, D] (section 7)."""
        if self.static is None:
            raise FeatureError("there is no static memory in zero-shot; give shots [C, K, D]")
        if self._static_slots is None:
            filled = torch.ones(self.static.shape[:2], dtype=torch.bool, device=self.device)
            self._static_slots = Slots.of(self.static, filled, self.projections)
        return self._read(self._static_slots, x)

    def _read(self, slots: Slots, x: Tensor) -> Tensor:
        """Run the seven steps of section 7, the second of which the slots have behind them."""
        u = query(x, self.projections)
        w = similarity_weights(u, slots.key, slots.filled, self.beta)
        a = output(weighted_sum(w, slots.value), self.projections)
        return torch.softmax(logits(a, x, self.logit_scale), dim=-1)

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
            return run(self, views, order, int(block_size), num_threads)

    def save(self, path: Path | str) -> None:
        """Write the network and the memory of its live stream as safetensors."""
        tensors = {"text": self.text, "shots": self.shots, "shots_views": self.copies}
        arrays = {k: t.cpu().numpy() for k, t in tensors.items() if t is not None}
        for name, tensor in self.given_projections.tensors().items():
            arrays[f"projection.{name}"] = tensor.cpu().numpy()
        for name, array in self.memory.state().items():
            arrays[f"memory.{name}"] = array
        facts = {name: getattr(self, name) for name in OPTIONS}
        facts |= {"dtype": str(self.dtype).split(".")[-1], "kind": self.given_projections.kind}
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


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Return float32 or float64. Raises ConfigError."""
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in DTYPES.values():
        raise ConfigError(f"dtype {dtype!r} cannot be computed in; give float32 or float64")
    return found  # type: ignore[return-value]
