"""What a peer is: one module with its options, what it needs, `fit`, `answer` and its cost.

A peer is one module with
    SOURCE                     authors, title and where it was published
    SETTINGS                   which of the paper's three settings it serves; shots come with the
                               last two
    SEES                       image: each image alone; stream: the images so far; set: all of them
    NEEDS                      of text, shots and views (several views of a test image)
    Options                    a pydantic model with defaults: the one fixed setting
    CANDIDATES                 values by option, to choose among; the first option is the outermost
    RELEASED                   not a must: changes by data set, as the authors released them
    fit(given, options)        whatever is made before the first test image
    answer(fitted, images, options) -> scores [N, C], the largest is the answer
    cost(sizes, options) -> Cost
    sweep(fitted, images, candidates) -> scores of each candidate; in place of `answer`, where
                               candidates share work. They differ in CANDIDATES only, and `fitted`
                               suits all

The table in dmn.peers.table has one line for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from pydantic import ValidationError

from dmn.errors import ConfigError, nearest
from dmn.method.choices import SETTINGS, Setting
from dmn.peers.formulas import unit
from dmn.schema import Strict

Sees = Literal["image", "stream", "batches", "set"]
Need = Literal["text", "shots", "views"]
BLOCK_BYTES = 1 << 26
PARTS = ("SOURCE", "SETTINGS", "SEES", "NEEDS", "Options", "CANDIDATES", "fit", "answer", "cost")


class PeerOptions(Strict):
    """Base of the options of a peer.

    One that has `batch` answers for so many images of the stream together; None is its own way.
    """


@dataclass(frozen=True)
class Given:
    """What a peer is given before the first test image.

    text [C, D]; shots [C, K, D], both of unit norm and float64; shot_views [C, K, V, D] of the
    shots as they are cached. The last two are None in zero-shot. seed: of a peer's own draws.
    """

    text: np.ndarray
    logit_scale: float
    shots: np.ndarray | None = None
    shot_views: np.ndarray | None = None
    seed: int = 0

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return CLIP's logits [N, C] of images [N, D]."""
        return self.logit_scale * x @ self.text.T


@dataclass(frozen=True)
class Images:
    """Images in the order in which they come: cached views [N, V, D]."""

    cached: np.ndarray

    def __len__(self) -> int:
        return len(self.cached)

    @cached_property
    def x(self) -> np.ndarray:
        """The plain view [N, D], unit norm and float64."""
        return unit(self.cached[:, 0])

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all views [B, V, D] of some images at a time, unit norm and float64."""
        rows = max(1, BLOCK_BYTES // (8 * self.cached[0].size))
        for start in range(0, len(self), rows):
            yield unit(self.cached[start : start + rows])

    def take(self, order: np.ndarray) -> Images:
        """Return some images in another order."""
        return Images(self.cached[order])


@dataclass(frozen=True)
class Sizes:
    """What a cost depends on: C, D, K, N test images, V views of one."""

    classes: int
    dimension: int
    shots: int
    images: int
    views: int


@dataclass(frozen=True)
class Cost:
    """Of one test image: multiply-adds beyond its encoding; numbers kept; encodings."""

    operations: int
    numbers: int
    encodings: int = 1


@dataclass(frozen=True)
class Peer:
    """A peer's module, checked, with the options that it runs with.

    shares: whether its candidates share what `fit` returns.
    """

    name: str
    source: str
    settings: tuple[Setting, ...]
    needs: frozenset[Need]
    declared: Sees
    options: Any
    searched: tuple[str, ...]
    candidates: tuple[Any, ...]
    released: Mapping[str, Any]
    fit: Callable[[Given, Any], Any]
    cost: Callable[[Sizes, Any], Cost]
    sweep: Callable[[Any, Images, Sequence[Any]], Iterator[np.ndarray]]
    shares: bool

    def answer(self, fitted: Any, images: Images, options: Any) -> np.ndarray:
        """Return the scores [N, C] with these options."""
        return next(self.sweep(fitted, images, [options]))

    @property
    def sees(self) -> Sees:
        """What an answer may rest on, by the options."""
        batch = getattr(self.options, "batch", None)
        if batch is None:
            return self.declared
        return "stream" if batch == 1 else "batches"

    @property
    def in_order(self) -> bool:
        """Whether the answers depend on the order of the images."""
        return self.sees in ("stream", "batches")

    @property
    def fixed(self) -> str:
        """What choosing nothing is called: none where there is nothing to choose."""
        return "fixed" if type(self.options).model_fields else "none"


def from_module(name: str, module: ModuleType, changes: Mapping[str, Any] | None = None) -> Peer:
    """Return the peer of a module, with changes to its options. Raises ConfigError."""
    file = getattr(module, "__file__", module.__name__)
    there = {*vars(module), *(["answer"] if hasattr(module, "sweep") else [])}
    missing = [part for part in PARTS if part not in there]
    if missing:
        raise ConfigError(
            f"method {name} ({file}) has no {', '.join(missing)}; docs/extending.md has an example"
        )
    _check_words(f"SETTINGS of method {name} ({file})", module.SETTINGS, SETTINGS)
    _check_words(f"SEES of method {name} ({file})", [module.SEES], get_args(Sees))
    _check_words(f"NEEDS of method {name} ({file})", module.NEEDS, get_args(Need))
    base = _options(name, module, changes or {})
    given = base.model_dump()
    values = product(*module.CANDIDATES.values())
    picked = [dict(zip(module.CANDIDATES, found, strict=True)) for found in values]
    released = getattr(module, "RELEASED", {})
    return Peer(
        name=name,
        source=module.SOURCE,
        settings=tuple(module.SETTINGS),
        needs=frozenset(module.NEEDS),
        declared=module.SEES,
        options=base,
        searched=tuple(module.CANDIDATES),
        candidates=tuple(_options(name, module, given | p) for p in picked if p),
        released={key: _options(name, module, given | own) for key, own in released.items()},
        fit=module.fit,
        cost=module.cost,
        sweep=getattr(module, "sweep", None) or partial(_one_by_one, module.answer),
        shares=hasattr(module, "sweep"),
    )


def _one_by_one(
    answer: Callable[[Any, Images, Any], np.ndarray],
    fitted: Any,
    images: Images,
    candidates: Sequence[Any],
) -> Iterator[np.ndarray]:
    for options in candidates:
        yield answer(fitted, images, options)


def _check_words(what: str, found: Sequence[str], known: Sequence[str]) -> None:
    for word in found:
        if word not in known:
            raise ConfigError(f"{what} says {word!r}; {nearest(str(word), known)}")


def _options(name: str, module: ModuleType, values: Mapping[str, Any]) -> Any:
    try:
        return module.Options.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = nearest(option, module.Options.model_fields)
            raise ConfigError(f"method {name} has no option {option!r}; {known}") from None
        message = first["msg"][0].lower() + first["msg"][1:]
        raise ConfigError(f"method {name}: {option} = {first['input']!r}: {message}") from None
