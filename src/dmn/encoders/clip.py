"""One interface to all image and text encoders: the embedded CLIP and those of open_clip."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from dmn.artifacts import read_tensors
from dmn.encoders.config import EncoderConfig, SmallClip
from dmn.encoders.views import Transform
from dmn.errors import ArtifactError, ConfigError, DataError, nearest

EMBEDDED = "embedded"
UNTRAINED_SEED = 0
MIXED = {"float16": torch.float16, "bfloat16": torch.bfloat16}
Weights = dict[str, np.ndarray[Any, Any]]


class Encoder:
    """A frozen model with its tokenizer and transform.

    Features are normalised, float32, or float64 where the model computes in it.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        transform: Transform,
        device: torch.device,
        precision: str,
    ) -> None:
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.mixed = MIXED.get(precision)
        # open_clip has several classes of models that share their methods, not a base
        self.model: Any = model.to(device=device, dtype=self.dtype).eval().requires_grad_(False)
        self.tokenizer, self.transform, self.device = tokenizer, transform, device

    @property
    def logit_scale(self) -> float:
        """The factor s of the similarities, already exponentiated."""
        return float(self.model.logit_scale.double().exp())

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """Return the normalised features `[B, D]` of transformed images `[B, 3, H, W]`."""
        if (
            images.ndim != 4
            or images.shape[1] != 3
            or set(images.shape[2:]) != {self.transform.size}
        ):
            size = self.transform.size
            raise DataError(f"images must be [B, 3, {size}, {size}], not {list(images.shape)}")
        images = images.to(device=self.device, dtype=self.dtype, non_blocking=True)
        with self._arithmetic():
            features = self.model.encode_image(images)
        return self._direction(features)

    @torch.inference_mode()
    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Return the normalised features `[P, D]` of prompts, 256 at a time."""
        parts = []
        for start in range(0, len(prompts), 256):
            tokens = self.tokenizer(list(prompts[start : start + 256])).to(self.device)
            with self._arithmetic():
                parts.append(self._direction(self.model.encode_text(tokens)))
        return torch.cat(parts)

    def _direction(self, features: Tensor) -> Tensor:
        features = features.to(self.dtype)
        return features / features.norm(dim=-1, keepdim=True)

    @contextlib.contextmanager
    def _arithmetic(self) -> Any:
        """Mixed precision where it was asked for, no silent TF32 where it was not."""
        with contextlib.ExitStack() as stack:
            if self.mixed is not None:
                stack.enter_context(torch.autocast(self.device.type, dtype=self.mixed))
            elif self.device.type == "cuda":
                flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
                stack.enter_context(flags)
            yield


def build_small(architecture: SmallClip) -> CLIP:
    """Return the embedded network, its weights still to be set; the global state stays as is."""
    with torch.random.fork_rng(devices=[]):
        model = CLIP(
            architecture.embed_dim,
            {
                "layers": architecture.layers,
                "width": architecture.image_width,
                "head_width": architecture.head_width,
                "image_size": architecture.image_size,
            },
            {
                "context_length": architecture.context,
                "width": architecture.text_width,
                "heads": architecture.text_heads,
                "layers": architecture.text_layers,
                "mlp_ratio": architecture.mlp_ratio,
            },
        )
    # convolutions in float64 then take two thirds of the time on a CPU
    return model.to(memory_format=torch.channels_last)


def fetch_weights(config: EncoderConfig) -> Weights:
    """Return the weights that `config` names: a released tag, a checkpoint file, or untrained.

    Released weights are downloaded by open_clip into its cache.
    """
    model, _ = _named(config)
    if config.checkpoint:
        _fill(model, _read_checkpoint(model, config.checkpoint), config.checkpoint)
    elif config.pretrained:
        path = _download(config)
        _fill(model, _read_checkpoint(model, path), f"tag {config.pretrained}")
    state = {name: value.detach() for name, value in model.state_dict().items()}
    return {
        name: (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        for name, value in state.items()
    }


def load_encoder(
    config: EncoderConfig, weights: Path | str, device: torch.device | str = "cpu"
) -> Encoder:
    """Return the encoder of `config` with the weights of a safetensors file.

    Raises ConfigError for an unknown model or tag, ArtifactError where the weights do not fit.
    """
    place = _device(device)
    if config.model == EMBEDDED:
        from open_clip import SimpleTokenizer

        model: nn.Module = build_small(config.architecture)
        transform = Transform(size=config.architecture.image_size)
        tokenizer: Any = SimpleTokenizer(context_length=config.architecture.context)
    else:
        from open_clip import get_tokenizer

        model, transform = _named(config)
        tokenizer = get_tokenizer(config.model)
    arrays = read_tensors(weights)
    _fill(model, {name: torch.from_numpy(value) for name, value in arrays.items()}, str(weights))
    return Encoder(model, tokenizer, transform, place, config.precision)


def _device(device: torch.device | str) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device {str(device)!r}; use cpu, cuda or cuda:1") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {str(device)!r} is not there; set numerics.device to cpu")
    return place


def _named(config: EncoderConfig) -> tuple[nn.Module, Transform]:
    """Return a model of open_clip, untrained, with the transform of its weights."""
    import open_clip

    known = open_clip.list_models()
    if config.model not in known:
        raise ConfigError(
            f"unknown model {config.model!r}; {nearest(config.model, [EMBEDDED, *known])}"
        )
    _check_tag(config)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.random.manual_seed(UNTRAINED_SEED)
        model = open_clip.create_model(config.model, pretrained_text=False)
    own, given = model.visual.preprocess_cfg, _preprocessing(config)
    if _sides(given.get("size", own["size"])) != _sides(own["size"]):
        raise ConfigError(
            f"the weights are made for images of {given['size']} pixels, but the model "
            f"{config.model} takes {own['size']}; choose the model of that size"
        )
    return model, _transform(config.model, {**own, **given})


@contextlib.contextmanager
def _quiet() -> Any:
    """Hide open_clip's warning that nothing was loaded: loading follows."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _check_tag(config: EncoderConfig) -> None:
    import open_clip

    if not config.pretrained:
        return
    tags = open_clip.list_pretrained_tags_by_model(config.model)
    if config.pretrained not in tags:
        raise ConfigError(
            f"model {config.model} has no pretrained tag {config.pretrained!r}; "
            + nearest(config.pretrained, tags)
        )
    wanted = bool(open_clip.get_pretrained_cfg(config.model, config.pretrained).get("quick_gelu"))
    given = bool((open_clip.get_model_config(config.model) or {}).get("quick_gelu"))
    if wanted != given:
        name = config.model.removesuffix("-quickgelu") + ("-quickgelu" if wanted else "")
        raise ConfigError(
            f"weights {config.pretrained!r} were trained with another activation than "
            f"{config.model} has; set the model to {name}"
        )


def _preprocessing(config: EncoderConfig) -> dict[str, Any]:
    """Return what the weights say about their transform: by tag, or in a file beside them."""
    import open_clip

    if config.pretrained:
        given = open_clip.get_pretrained_cfg(config.model, config.pretrained)
    elif config.checkpoint:
        beside = Path(config.checkpoint).with_name("open_clip_config.json")
        given = json.loads(beside.read_text()).get("preprocess_cfg", {}) if beside.exists() else {}
    else:
        given = {}
    keys = ("size", "mean", "std", "interpolation", "resize_mode")
    return {key: given[key] for key in keys if given.get(key) is not None}


def _sides(size: int | Sequence[int]) -> set[int]:
    return {size} if isinstance(size, int) else set(size)


def _transform(model: str, preprocess: dict[str, Any]) -> Transform:
    size = preprocess["size"]
    sides = _sides(size)
    if len(sides) != 1 or preprocess.get("resize_mode", "shortest") != "shortest":
        raise ConfigError(
            f"model {model} wants images of {size}, resized by "
            f"{preprocess.get('resize_mode')!r}; only square centre crops are supported"
        )
    mean, std = tuple(preprocess["mean"]), tuple(preprocess["std"])
    return Transform(sides.pop(), mean, std, preprocess["interpolation"])


def _download(config: EncoderConfig) -> str:
    import open_clip
    from open_clip.pretrained import download_pretrained

    try:
        published = open_clip.get_pretrained_cfg(config.model, config.pretrained)
        return str(download_pretrained(published))
    except Exception as error:
        # whatever the hub's client raises, the user has one remedy
        raise DataError(
            f"cannot download {config.model} {config.pretrained}: {error}; check the "
            "network, or give the file as `checkpoint`"
        ) from None


def _read_checkpoint(model: nn.Module, path: str) -> dict[str, Tensor]:
    """Read a checkpoint of tensors alone; anything else that a pickle could hold is refused."""
    from open_clip.convert import convert_state_dict
    from open_clip.factory import load_state_dict

    if not Path(path).is_file():
        raise ArtifactError(f"no checkpoint file {path}; correct the path")
    try:
        return convert_state_dict(model, load_state_dict(path, weights_only=True))
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


def _fill(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Set all weights, refusing any that lack, are left over or have another shape.

    open_clip's own loader would resize position embeddings of another image size in silence.
    """
    own = model.state_dict()
    ignored = {name for name in state if name.endswith("position_ids")} - own.keys()
    state = {name: value for name, value in state.items() if name not in ignored}
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            word = "lack" if name not in state else "have an unknown"
            raise ArtifactError(f"the weights in {source} {word} {name!r}; are they of this model?")
        if own[name].numel() == state[name].numel() == 1:
            # a scalar may have been stored as one number in a row
            state[name] = state[name].reshape(own[name].shape)
        if own[name].shape != state[name].shape:
            raise ArtifactError(
                f"{name!r} is {list(state[name].shape)} in {source}, but the model has "
                f"{list(own[name].shape)}; are they of this model and image size?"
            )
    model.load_state_dict(state)
