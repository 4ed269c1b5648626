"""One interface to all image and text encoders: the embedded CLIP and those of open_clip."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from dmn.artifacts import read_tensor_metadata, read_tensors
from dmn.encoders.checkpoints import config_beside, fill, quick_gelu, read_checkpoint
from dmn.encoders.config import EncoderConfig, SmallClip
from dmn.encoders.models import EMBEDDED, check_model
from dmn.encoders.views import Transform
from dmn.errors import ArtifactError, ConfigError, DataError, nearest

LOGGER = logging.getLogger(__name__)
UNTRAINED_SEED = 0
QUICK = "-quickgelu"
# a prompt is measured up to so many times what the encoder reads
UNCUT = 8
MIXED = {"float16": torch.float16, "bfloat16": torch.bfloat16}
Weights = dict[str, np.ndarray[Any, Any]]


class Encoder:
    """A frozen model with its tokenizer and transform.

    Features are normalised, float32, or float64 where the model computes in it.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[..., Tensor],
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

    def tokens(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the tokens that are read of each prompt `[P, L]`, and how many are cut off `[P]`.

        Of a prompt of more than UNCUT times L tokens no more are counted.
        """
        read, cut = [], []
        for start in range(0, len(prompts), 256):
            texts = list(prompts[start : start + 256])
            short = self.tokenizer(texts)
            whole = self.tokenizer(texts, context_length=UNCUT * short.shape[1])
            beyond = (whole[:, short.shape[1] :] != whole[:, -1:]).sum(1)
            read.append(short)
            cut.append(beyond)
        return torch.cat(read), torch.cat(cut)

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
        found = read_checkpoint(model, config.checkpoint)
        _check_activation(config.model, config.checkpoint, quick_gelu(config.checkpoint, found))
        fill(model, found, config.checkpoint)
    elif config.pretrained:
        fill(model, read_checkpoint(model, _download(config)), f"tag {config.pretrained}")
    state = {name: value.detach() for name, value in model.state_dict().items()}
    return {
        name: (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        for name, value in state.items()
    }


def load_encoder(
    config: EncoderConfig, weights: Path | str, device: torch.device | str = "cpu"
) -> Encoder:
    """Return the encoder of `config` with the weights of a safetensors file.

    The file also says the embedded encoder's architecture, and what other weights say of their
    transform. Raises ConfigError for an unknown model or tag, ArtifactError where weights do not
    fit.
    """
    place = _device(device)
    if config.model == EMBEDDED:
        from open_clip import SimpleTokenizer

        architecture = _architecture(weights)
        model: nn.Module = build_small(architecture)
        transform = Transform(size=architecture.image_size)
        tokenizer: Any = SimpleTokenizer(context_length=architecture.context)
    else:
        from open_clip import get_tokenizer

        model, transform = _named(config, read_tensor_metadata(weights).get("preprocessing"))
        tokenizer = get_tokenizer(config.model)
    arrays = read_tensors(weights)
    fill(model, {name: torch.from_numpy(value) for name, value in arrays.items()}, str(weights))
    return Encoder(model, tokenizer, transform, place, config.precision)


def _architecture(weights: Path | str) -> SmallClip:
    """Return the architecture that a file of the embedded encoder's weights is of."""
    pretraining = read_tensor_metadata(weights).get("pretraining", {})
    if "architecture" not in pretraining:
        raise ArtifactError(
            f"the weights in {weights} lack their architecture: they are not of the embedded "
            "encoder; delete the file and run again"
        )
    return SmallClip.model_validate(pretraining["architecture"])


def _device(device: torch.device | str) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device {str(device)!r}; use cpu, cuda or cuda:1") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {str(device)!r} is not there; set numerics.device to cpu")
    return place


def _named(
    config: EncoderConfig, given: dict[str, Any] | None = None
) -> tuple[nn.Module, Transform]:
    """Return a model of open_clip, untrained, with the transform of its weights.

    given: what `preprocessing` found when the weights were fetched.
    """
    import open_clip

    check_model(config.model, "model", open_clip.list_models())
    _check_tag(config)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.random.manual_seed(UNTRAINED_SEED)
        model = open_clip.create_model(config.model, pretrained_text=False)
    own = model.visual.preprocess_cfg
    given = preprocessing(config) if given is None else given
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
    published = open_clip.get_pretrained_cfg(config.model, config.pretrained)
    _check_activation(config.model, config.pretrained, bool(published.get("quick_gelu")))


def _check_activation(model: str, weights: str, wanted: bool | None) -> None:
    """Refuse weights of OpenAI's fast GELU for a model without it, and the other way round.

    Both have the same names and shapes: read as the other they give worse features in silence.
    """
    import open_clip

    given = bool((open_clip.get_model_config(model) or {}).get("quick_gelu"))
    other = model.removesuffix(QUICK) if given else f"{model}{QUICK}"
    if other == model or other not in open_clip.list_models():
        return
    if wanted is None:
        LOGGER.warning(
            "%s does not say which GELU it was trained with; %s computes the %s one. Weights of "
            "OpenAI, DFN and MetaCLIP, and what was trained on from them, need the fast one: %s",
            *(weights, model, "fast" if given else "exact", model if given else other),
        )
    elif wanted != given:
        raise ConfigError(
            f"weights {weights!r} were trained with another activation than {model} has; set the "
            f"model to {other}"
        )


def preprocessing(config: EncoderConfig) -> dict[str, Any]:
    """Return what the weights say about their transform: by tag, or in a file beside them."""
    import open_clip

    if config.pretrained:
        given = open_clip.get_pretrained_cfg(config.model, config.pretrained)
    elif config.checkpoint:
        given = config_beside(config.checkpoint).get("preprocess_cfg", {})
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
