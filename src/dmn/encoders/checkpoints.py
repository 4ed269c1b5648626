"""Reads checkpoints of CLIP models as people save them; nothing in them is ever run.

A state dict alone, inside others under any key, with any prefix (`module.`, `_orig_mod.`), as
safetensors, or the TorchScript archives that OpenAI publishes.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dmn.encoders.torchscript import is_torchscript, read_torchscript, uses_quick_gelu
from dmn.errors import ArtifactError, some

State = dict[str, Tensor]
CONFIG_BESIDE = "open_clip_config.json"
# OpenAI's archives hold these numbers among their weights, and nobody else's do
OPENAI_ONLY = ("input_resolution", "context_length", "vocab_size")
# buffers that a model makes itself
OWN_BUFFERS = ("position_ids", "attn_mask")


def config_beside(path: str | Path) -> dict[str, Any]:
    """Return what a file of open_clip's beside a checkpoint says about it, if there is one."""
    beside = Path(path).with_name(CONFIG_BESIDE)
    if not beside.exists():
        return {}
    try:
        return dict(json.loads(beside.read_text(encoding="utf-8-sig")))
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{beside} is not JSON ({error}); correct or remove it") from None


def read_checkpoint(model: nn.Module, path: str) -> State:
    """Return the state dict of `model` in a checkpoint of tensors alone.

    ArtifactError for anything else that a pickle could hold, for a damaged file, and for one that
    holds several sets of weights.
    """
    if not Path(path).is_file():
        raise ArtifactError(f"no checkpoint file {path}; correct the path")
    from open_clip.convert import convert_state_dict

    content = _load(path)
    own = model.state_dict().keys()
    converted = convert_state_dict(model, dict(content)) if _plain(content) else content
    return _unwrapped(converted, own, path)


def _load(path: str) -> Mapping[str, Any]:
    """Read a file without running anything in it."""
    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        if is_torchscript(path):
            return read_torchscript(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ArtifactError(
            f"checkpoint {path} holds more than tensors, so it is not loaded: a pickle can run "
            "programs; save its state_dict with open_clip or as safetensors"
        ) from None
    except Exception as error:
        # torch raises many kinds for a damaged file: runtime, key, end of file, unicode ...
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ArtifactError(
            f"checkpoint {path} is damaged or no checkpoint ({reason}); get the file again"
        ) from None
    if not isinstance(content, Mapping):
        raise ArtifactError(
            f"checkpoint {path} holds {type(content).__name__}, not weights by name; save the "
            "model's state_dict"
        )
    return content


def _plain(content: object) -> bool:
    """Say whether something is tensors by name."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) for key in content)
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _state_dicts(content: Any, name: str = "") -> Iterator[tuple[str, State]]:
    """Yield all dictionaries of tensors in a checkpoint with the keys that lead to them."""
    if _plain(content):
        yield name, dict(content)
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _state_dicts(value, f"{name}.{key}".lstrip("."))


def _unwrapped(content: Any, own: Any, path: str) -> State:
    """Return the one dictionary that holds most of the model's names, its prefix taken off."""
    found = [(key, _without_prefix(state, own)) for key, state in _state_dicts(content)]
    fitting = {key: state for key, state in found if 2 * len(own & state.keys()) > len(own)}
    if "state_dict" in fitting:
        return fitting["state_dict"]
    if len(fitting) > 1:
        raise ArtifactError(
            f"checkpoint {path} holds several sets of weights: {', '.join(fitting)}; save the one "
            "to be used as a file of its own"
        )
    if fitting:
        return next(iter(fitting.values()))
    if len(found) == 1:
        # its own names will be told
        return found[0][1]
    names = [f"{key!r}" for key in content]
    raise ArtifactError(
        f"checkpoint {path} holds no weights of this model; it has the keys {some(names, 8)}"
    )


def _without_prefix(state: State, own: Any) -> State:
    """Take off what stands before the model's own names, as wrappers of a model leave it."""
    known = max(own, key=len)
    prefix = next((key[: -len(known)] for key in state if key.endswith(known)), "")
    return {key.removeprefix(prefix): value for key, value in state.items()}


def quick_gelu(path: str, state: Mapping[str, Any] | None = None) -> bool | None:
    """Say whether weights were trained with OpenAI's fast GELU; None where nothing tells."""
    told = config_beside(path).get("model_cfg", {}).get("quick_gelu")
    if told is not None:
        return bool(told)
    if is_torchscript(path):
        return uses_quick_gelu(path)
    return True if state is not None and all(name in state for name in OPENAI_ONLY) else None


def fill(model: nn.Module, state: State, source: str) -> None:
    """Set all weights, refusing any that lack, are left over or have another shape.

    open_clip's own loader would resize position embeddings of another image size in silence.
    """
    own = model.state_dict()
    left = {name for name in state.keys() - own.keys() if name.endswith(OWN_BUFFERS)}
    state = {n: v for n, v in state.items() if n not in left and n not in OPENAI_ONLY}
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            word = "lack" if name not in state else "have an unknown"
            raise ArtifactError(
                f"the weights in {source} {word} {name!r}; are they of this model? They begin "
                f"with {some(sorted(state)) or 'nothing'}"
            )
        if own[name].numel() == state[name].numel() == 1:
            # a scalar may have been stored as one number in a row
            state[name] = state[name].reshape(own[name].shape)
        if own[name].shape != state[name].shape:
            raise ArtifactError(
                f"{name!r} is {list(state[name].shape)} in {source}, but the model has "
                f"{list(own[name].shape)}; are they of this model and image size?"
            )
    model.load_state_dict(state)
