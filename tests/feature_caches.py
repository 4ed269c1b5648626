"""Real or made-up features, written in the form of each project that shares them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from synthetic import unit

SHARED = Path(__file__).parents[2] / "shared"
WHU = SHARED / "real/whu_rs19"
BACKBONES = ("RN50", "ViT-B-32", "ViT-L-14")
needs_whu = pytest.mark.skipif(not WHU.exists(), reason=f"no real features in {WHU}")


@dataclass
class Cache:
    """One backbone's features: parts of (features [N, D], labels [N]), texts [C, D]."""

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    texts: dict[str, np.ndarray]
    names: list[str] = field(default_factory=list)

    @property
    def classes(self) -> int:
        return len(next(iter(self.texts.values())))


def load_whu(backbone: str) -> Cache:
    """Return the satellite photographs as the registry draws their parts, here simply by row."""
    folder = WHU / "CLIP" / backbone

    def read(name: str) -> np.ndarray:
        return torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True).numpy()

    images, labels = read("images"), read("classes")
    texts = {p: read(f"texts_{p}") for p in ("averageprompt", "a_satellite_photo_of_a")}
    names = (WHU / "class_changes.txt").read_text().split("\n")
    return Cache(cut(images, labels), texts, [n for n in names if n])


def cut(images: np.ndarray, labels: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 4 rows of each class for training, 2 for validation and the rest for testing."""
    rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label).tolist()
        rows["train"] += members[:4]
        rows["val"] += members[4:6]
        rows["test"] += members[6:]
    return {part: (images[r], labels[r]) for part, r in rows.items()}


def make_cache(seed: int = 0, classes: int = 5, dimension: int = 24, images: int = 60) -> Cache:
    """Return made-up float16 features whose text answers some images wrongly."""
    draws = np.random.default_rng(seed)
    centres = unit(draws.normal(size=(classes, dimension)))
    labels = draws.permutation(np.arange(images) % classes)
    noise = draws.normal(size=(images, dimension)) / np.sqrt(dimension)
    features = unit(centres[labels] + 1.6 * noise).astype(np.float16)
    texts = {
        name: unit(centres + spread * draws.normal(size=centres.shape) / 5).astype(np.float16)
        for name, spread in (("averageprompt", 0.5), ("a_satellite_photo_of_a", 1.5))
    }
    return Cache(cut(features, labels), texts, [f"kind {c}" for c in range(classes)])


def caches() -> dict[str, Cache]:
    """Return the real features of three backbones, or made-up ones where they are not there."""
    if WHU.exists():
        return {name: load_whu(name) for name in BACKBONES}
    return {name: make_cache(seed, dimension=24 + 8 * seed) for seed, name in enumerate(BACKBONES)}


def save(path: Path, array: np.ndarray) -> None:
    """Write one array by its file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pt":
        torch.save(torch.from_numpy(np.asarray(array)), path)
    else:
        np.save(path, array)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float16)[labels]


def write_plain(folder: Path, cache: Cache, backbone: str) -> None:
    """npz and safetensors, a folder a backbone, the text of each prompt."""
    from safetensors.numpy import save_file

    own = folder / backbone
    own.mkdir(parents=True)
    for part, (features, labels) in cache.parts.items():
        arrays = {"features": np.ascontiguousarray(features), "labels": labels}
        if part == "train":
            save_file(arrays, own / "train.safetensors")
        else:
            np.savez(own / f"{part}.npz", **arrays)
    for prompt, text in cache.texts.items():
        np.savez_compressed(own / f"text_{prompt}.npz", features=text)


def write_cache(folder: Path, cache: Cache, shots: int) -> None:
    """Keys [D, N] and one-hot values [N, C] of K shots; features and labels of the other parts."""
    for part, (features, labels) in cache.parts.items():
        if part == "train":
            rows = [np.flatnonzero(labels == c)[:shots] for c in range(cache.classes)]
            chosen = np.concatenate(rows)
            save(folder / f"keys_{shots}shots.pt", features[chosen].T)
            save(folder / f"values_{shots}shots.pt", one_hot(labels[chosen], cache.classes))
        else:
            save(folder / f"{part}_f.pt", features)
            save(folder / f"{part}_l.pt", labels)


def write_tip_adapter(folder: Path, cache: Cache, backbone: str) -> None:
    """Caches of several K; text beside, because the program saves none."""
    for shots in (1, 4, 2):
        write_cache(folder, cache, shots)
    for prompt, text in cache.texts.items():
        save(folder / f"text_features_{prompt}.pt", text)


def write_ape(folder: Path, cache: Cache, backbone: str) -> None:
    """As Tip-Adapter's, with the text of templates and CuPL, [D, C]."""
    write_cache(folder, cache, 4)
    for prompt, text in cache.texts.items():
        save(folder / f"text_weights_{prompt}.pt", text.T)


def write_transclip(folder: Path, cache: Cache, backbone: str) -> None:
    """As Tip-Adapter's, but keys [V, N, D]."""
    write_tip_adapter(folder, cache, backbone)
    save(folder / "keys_4shots.pt", cache.parts["train"][0][None])


def write_zlap(folder: Path, cache: Cache, backbone: str) -> None:
    """Pairs of npy in float32, classifiers [D, C]."""
    for part, (features, labels) in cache.parts.items():
        save(folder / f"{backbone}_{part}_feats.npy", features)
        save(folder / f"{backbone}_{part}_targets.npy", labels)
    for prompt, text in zip(("text", "cupl_text"), cache.texts.values(), strict=True):
        save(folder / f"classifiers/{backbone}_{prompt}_classifier.npy", text.T)


def write_ecalp(folder: Path, cache: Cache, backbone: str) -> None:
    """Dictionaries: test images with text, and training images as [C, K, D]."""
    own = folder / {"RN50": "RN", "ViT-B-32": "VIT"}[backbone]
    (own / "few_shots").mkdir(parents=True)
    features, labels = cache.parts["test"]
    text = next(iter(cache.texts.values()))
    whole = {"image_features": features, "text_features": text, "labels": labels}
    torch.save({k: torch.from_numpy(v) for k, v in whole.items()}, own / "WHU.pt")
    features, labels = cache.parts["train"]
    order = np.argsort(labels, kind="stable")
    shape = (cache.classes, -1, features.shape[-1])
    few = {
        "image_features": features[order].reshape(shape),
        "labels": one_hot(labels[order], cache.classes).reshape(cache.classes, -1, cache.classes),
    }
    torch.save({k: torch.from_numpy(v) for k, v in few.items()}, own / "few_shots/WHU.pt")


def write_oga(folder: Path, cache: Cache, backbone: str) -> None:
    """Features by backbone, targets for all; text beside."""
    name = backbone.replace("-", "_")
    for part in ("val", "test"):
        features, labels = cache.parts[part]
        save(folder / f"cache/{name}_{part}_features.pt", features)
        save(folder / f"cache/{part}_target.pt", labels)
    for prompt, text in cache.texts.items():
        save(folder / f"cache/{name}_text_{prompt}.pt", text)


def write_stata(folder: Path, cache: Cache, backbone: str) -> None:
    """The test images alone, and a prototype file [C, D]."""
    features, labels = cache.parts["test"]
    save(folder / "test_f.pt", features)
    save(folder / "test_l.pt", labels)
    save(folder / "text_features.pt", next(iter(cache.texts.values())))


def write_clip_benchmark(folder: Path, cache: Cache, backbone: str) -> None:
    """One folder for data set and backbone, and a saved classifier [D, C]."""
    own = folder / f"ImageFolder-{backbone}-openai"
    for part, (features, labels) in cache.parts.items():
        save(own / f"features_{part}.pt", features)
        save(own / f"targets_{part}.pt", labels)
    for prompt, text in cache.texts.items():
        save(own / f"classifier_{prompt}.pt", text.T)


def write_sus_x(folder: Path, cache: Cache, backbone: str) -> None:
    """All in one folder, training images as [D, N] and one-hot, a support set that is not used."""
    name = backbone.replace("B-32", "B32")
    for part in ("val", "test"):
        features, labels = cache.parts[part]
        save(folder / f"whu_f_{part}_m{name}.pt", features)
        save(folder / f"whu_t_{part}_m{name}.pt", labels)
    features, labels = cache.parts["train"]
    save(folder / f"whu_f_train_m{name}_k4.pt", features.T)
    save(folder / f"whu_t_train_m{name}_k4.pt", one_hot(labels, cache.classes))
    save(folder / f"sus_lc_photo_whu_f_m{name}.pt", features.T)
    save(folder / f"sus_lc_photo_whu_t_m{name}.pt", one_hot(labels, cache.classes))
    for prompt, text in cache.texts.items():
        save(folder / f"whu_zeroshot_text_weights_m{name}_pt{prompt}.pt", text.T)


def write_rs_transclip(folder: Path, cache: Cache, backbone: str) -> None:
    """One pool of images, here the test images; a text for each prompt."""
    features, labels = cache.parts["test"]
    own = folder / "CLIP" / backbone
    save(own / "images.pt", features)
    save(own / "classes.pt", labels)
    for prompt, text in cache.texts.items():
        save(own / f"texts_{prompt}.pt", text)


Writer = Callable[[Path, Cache, str], None]
# the table's name of the format, what writes it, backbones side by side, parts that it has
WRITERS: dict[str, tuple[str, Writer, list[str], set[str]]] = {
    "plain": ("plain", write_plain, ["RN50", "ViT-B-32"], {"train", "val", "test"}),
    "tip_adapter": ("tip_adapter", write_tip_adapter, ["RN50"], {"train", "val", "test"}),
    "ape": ("tip_adapter", write_ape, ["RN50"], {"train", "val", "test"}),
    "transclip": ("tip_adapter", write_transclip, ["ViT-B-32"], {"train", "val", "test"}),
    "stata": ("tip_adapter", write_stata, ["ViT-B-32"], {"test"}),
    "zlap": ("zlap", write_zlap, ["RN50", "ViT-L-14"], {"train", "val", "test"}),
    "ecalp": ("ecalp", write_ecalp, ["RN50", "ViT-B-32"], {"train", "test"}),
    "oga": ("oga", write_oga, ["RN50", "ViT-B-32"], {"val", "test"}),
    "clip_benchmark": (
        "clip_benchmark",
        write_clip_benchmark,
        ["ViT-L-14"],
        {"train", "val", "test"},
    ),
    "sus_x": ("sus_x", write_sus_x, ["RN50", "ViT-B-32"], {"train", "val", "test"}),
    "rs_transclip": ("rs_transclip", write_rs_transclip, ["RN50", "ViT-L-14"], {"test"}),
}
