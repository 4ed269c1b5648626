"""Small copies of the paper's data sets with their true layouts, and a local server with faults.

    mirror = make_mirror("eurosat", tmp_path)
    with serve(mirror.served, {"EuroSAT.zip": ["dies"]}) as server: ...

`mirror.registry` is a registry file with the copies' own sizes and checksums and no other source.
"""

import io
import json
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from dmn.artifacts import sha256, write_json
from dmn.datasets.download import Transfer, fetch, manifest
from dmn.datasets.registry import DatasetEntry, load_registry

# class folders and names as the published files have them, a few of each
CLASSES = {
    "flowers102": [("", "pink primrose"), ("", "hard-leaved pocket orchid"), ("", "sweet pea")],
    "dtd": [("banded", "banded"), ("blotchy", "blotchy"), ("polka-dotted", "polka-dotted")],
    "oxford_pets": [
        ("Abyssinian", "abyssinian"),
        ("american_bulldog", "american_bulldog"),
        ("Birman", "birman"),
    ],
    "stanford_cars": [
        ("", "2000 AM General Hummer SUV"),
        ("", "2012 Acura RL Sedan"),
        ("", "2012 Ram C/V Cargo Van Minivan"),
    ],
    "ucf101": [
        ("Apply_Eye_Makeup", "Apply_Eye_Makeup"),
        ("Archery", "Archery"),
        ("Yo_Yo", "Yo_Yo"),
    ],
    "caltech101": [("Faces", "face"), ("Leopards", "leopard"), ("car_side", "car_side")],
    "food101": [("apple_pie", "apple_pie"), ("ramen", "ramen"), ("sushi", "sushi")],
    "sun397": [
        ("a/abbey", "abbey"),
        ("a/apartment_building/outdoor", "outdoor apartment_building"),
        ("y/yard", "yard"),
    ],
    "fgvc_aircraft": [("", "707-320"), ("", "BAE 146-200"), ("", "F-16A/B")],
    "eurosat": [
        ("AnnualCrop", "Annual Crop Land"),
        ("Forest", "Forest"),
        ("SeaLake", "Sea or Lake"),
    ],
}
WNIDS = [
    ("n01440764", "tench"),
    ("n01443537", "goldfish"),
    ("n01484850", "great white shark"),
    ("n01498041", "stingray"),
]
# the subsets of classes that the variants hold here, as folder names
SUBSETS = {"imagenet_a": (1, 3), "imagenet_r": (0, 1, 2)}
DATASETS = [*CLASSES, "imagenet", "imagenet_a", "imagenet_r", "imagenet_v2", "imagenet_sketch"]
PER_CLASS = {"train": 6, "val": 4, "test": 3}


@dataclass
class Mirror:
    """Where the copies stand: served files, user-brought files, and their registry."""

    dataset: str
    served: Path
    manual: Path
    registry: Path

    @property
    def entry(self) -> DatasetEntry:
        return load_registry(self.registry)[self.dataset]


def picture(label: int, number: int) -> bytes:
    """Return a small JPEG whose stripes tell the class and whose noise tells the image."""
    rows, columns = np.mgrid[0:44, 0:52]
    stripes = np.sin((rows * (label % 3) + columns * (label % 2 + 1)) / 3.0)
    noise = np.random.default_rng(number).normal(0, 20, (44, 52, 3))
    colour = np.roll([200, 120, 40], label)
    pixels = np.clip(colour * (0.7 + 0.3 * stripes[..., None]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def tar_bytes(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """Return a tar of `files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def archive_bytes(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the archive that the file name promises."""
    if name.endswith(".zip"):
        return zip_bytes(files)
    return tar_bytes(files, "w:gz" if name.endswith(("gz", "tgz")) else "w")


def image_path(dataset: str, folder: str, part: str, number: int) -> str:
    """Return an image's path in the split file, in the data set's own manner."""
    names = {
        "flowers102": f"image_{number:05d}.jpg",
        "oxford_pets": f"{folder}_{number}.jpg",
        "stanford_cars": f"cars_{'test' if part == 'test' else 'train'}/{number:05d}.jpg",
        "ucf101": f"{folder}/v_{folder.replace('_', '')}_g01_c{number:02d}.jpg",
        "caltech101": f"{folder}/image_{number:04d}.jpg",
        "sun397": f"{folder}/sun_{number:016x}.jpg",
        "fgvc_aircraft": f"{number:07d}",
        "dtd": f"{folder}/{folder}_{number:04d}.jpg",
        "eurosat": f"{folder}/{folder}_{number}.jpg",
    }
    return names.get(dataset, f"{folder}/{number}.jpg")


def split_rows(dataset: str, per_class: Mapping[str, int]) -> dict[str, list]:
    """Return the split in the public form, images numbered from 1."""
    rows: dict[str, list] = {"train": [], "val": [], "test": []}
    number = 0
    for label, (folder, name) in enumerate(CLASSES[dataset]):
        for part, count in per_class.items():
            for _ in range(count):
                number += 1
                rows[part].append([image_path(dataset, folder, part, number), label, name])
    return rows


def _split_file_archives(entry: DatasetEntry, rows: dict[str, list]) -> dict[str, bytes]:
    images = {
        path: picture(label, number)
        for number, (path, label, _) in enumerate(row for part in rows.values() for row in part)
    }
    root = entry.layout.root
    if entry.name == "stanford_cars":
        kept = {"cars_train.tgz": "cars_train/", "cars_test.tgz": "cars_test/"}
        return {
            name: archive_bytes(name, {k: v for k, v in images.items() if k.startswith(folder)})
            for name, folder in kept.items()
        }
    (file,) = entry.by_role("archive")
    if entry.name == "caltech101":
        inside = {f"101_ObjectCategories/{path}": content for path, content in images.items()}
        name = "caltech-101/101_ObjectCategories.tar.gz"
        return {file.name: zip_bytes({name: tar_bytes(inside, "w:gz"), "__MACOSX/._x": b"x"})}
    return {file.name: archive_bytes(file.name, {f"{root}/{k}": v for k, v in images.items()})}


def _aircraft_archives(entry: DatasetEntry, rows: dict[str, list]) -> dict[str, bytes]:
    root = entry.layout.root
    names = [name for _, name in CLASSES["fgvc_aircraft"]]
    files = {f"{root}/variants.txt": "".join(f"{name}\n" for name in names).encode()}
    for part, items in rows.items():
        listing = "".join(f"{image} {name}\n" for image, _, name in items)
        files[f"{root}/images_variant_{part}.txt"] = listing.encode()
        for image, label, _ in items:
            files[f"{root}/images/{image}.jpg"] = picture(label, int(image))
    (file,) = entry.by_role("archive")
    return {file.name: archive_bytes(file.name, files)}


def _imagenet_archives(entry: DatasetEntry, per_class: Mapping[str, int]) -> dict[str, bytes]:
    from scipy.io import savemat

    train = {
        f"{wnid}.tar": tar_bytes(
            {f"{wnid}_{i}.JPEG": picture(c, 100 * c + i) for i in range(per_class["train"])}
        )
        for c, (wnid, _) in enumerate(WNIDS)
    }
    # the devkit counts classes from 1 in an order of its own
    own_order = [2, 0, 3, 1]
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
    synsets = np.array(
        [(i, WNIDS[c][0], WNIDS[c][1], 0) for i, c in enumerate(own_order, start=1)], dtype=kinds
    )
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    order = [(i * 3) % 4 for i in range(4 * per_class["test"])]
    truth = "".join(f"{own_order.index(c) + 1}\n" for c in order).encode()
    val = {
        f"ILSVRC2012_val_{i:08d}.JPEG": picture(c, 1000 + i) for i, c in enumerate(order, start=1)
    }
    root = "ILSVRC2012_devkit_t12/data"
    devkit = {
        f"{root}/meta.mat": meta.getvalue(),
        f"{root}/ILSVRC2012_validation_ground_truth.txt": truth,
    }
    return {
        "ILSVRC2012_img_train.tar": tar_bytes(train),
        "ILSVRC2012_img_val.tar": tar_bytes(val),
        "ILSVRC2012_devkit_t12.tar.gz": tar_bytes(devkit, "w:gz"),
    }


def _variant_archives(entry: DatasetEntry, count: int) -> dict[str, bytes]:
    layout = entry.layout
    (file,) = entry.by_role("archive")
    images = {
        f"{layout.root}/{c if layout.folders == 'index' else WNIDS[c][0]}/{i}.jpg": picture(
            c, 100 * c + i
        )
        for c in SUBSETS.get(entry.name, range(len(WNIDS)))
        for i in range(count)
    }
    images[f"{layout.root}/README.txt"] = b"not an image"
    return {file.name: archive_bytes(file.name, images)}


def make_files(dataset: str, per_class: Mapping[str, int]) -> tuple[dict[str, bytes], dict]:
    """Return all files of a small copy, and the registry values in which it differs."""
    entry = load_registry()[dataset]
    counts = dict.fromkeys(per_class, 0)
    if dataset in CLASSES:
        rows = split_rows(dataset, per_class)
        maker = _aircraft_archives if dataset == "fgvc_aircraft" else _split_file_archives
        files = maker(entry, rows)
        files |= {file.name: json.dumps(rows).encode() for file in entry.by_role("split")}
        names = [name for _, name in CLASSES[dataset]]
        counts = {part: len(items) for part, items in rows.items()}
    else:
        subset = SUBSETS.get(dataset, range(len(WNIDS)))
        names = [WNIDS[c][1] for c in subset]
        counts["test"] = len(names) * per_class["test"]
        if dataset == "imagenet":
            counts["train"] = len(names) * per_class["train"]
            files = _imagenet_archives(entry, per_class)
        else:
            files = _variant_archives(entry, per_class["test"])
        files["classnames.txt"] = "".join(f"{w} {name}\n" for w, name in WNIDS).encode()
    spoken = names if dataset in CLASSES else [name for _, name in WNIDS]
    sentences = {
        name.replace("_", " "): [f"A {name} is seen.", f"This is a {name}."] for name in spoken
    }
    (prompts,) = entry.by_role("prompts")
    files[prompts.name] = json.dumps(sentences).encode()
    return files, {"classes": len(names), "sizes": counts}


def make_mirror(
    dataset: str,
    folder: Path,
    per_class: Mapping[str, int] | None = None,
    hostile: bool = False,
) -> Mirror:
    """Write a small copy of one data set and its registry file under `folder`.

    ImageNet's archives go to the folder of user-brought files, all else is served. A `hostile`
    copy's first archive holds a path that leads outside, with a right checksum.
    """
    files, facts = make_files(dataset, {**PER_CLASS, **(per_class or {})})
    served, manual = folder / "served", folder / "manual"
    entry = load_registry()[dataset]
    if hostile:
        name = entry.by_role("archive")[0].name
        files[name] = archive_bytes(name, {"../../evil.jpg": picture(0, 0)})
    facts["files"] = {}
    for name, content in files.items():
        brought = not entry.files[name].urls
        path = (manual if brought else served) / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        facts["files"][name] = {
            "urls": [],
            "bytes": len(content),
            "sha256": sha256(path),
            "md5": None,
            "git_blob": None,
        }
    registry = folder / "registry.yaml"
    old = yaml.safe_load(registry.read_text()) if registry.exists() else {"datasets": {}}
    old["datasets"][dataset] = facts
    registry.write_text(yaml.safe_dump(old))
    return Mirror(dataset, served, manual, registry)


@dataclass
class Server:
    """A running server: its address and what it was asked, as (path, range header)."""

    url: str
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, faults: dict[str, list[str]], log: list, *rest) -> None:
        self.folder, self.faults, self.log = folder, faults, log
        super().__init__(*rest)

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        path = self.folder / self.path.lstrip("/")
        wanted = self.headers.get("Range")
        self.log.append((self.path, wanted))
        waiting = self.faults.get(path.name) or []
        fault = waiting.pop(0) if waiting else None
        status = {"missing": 404, "error": 500}.get(fault or "")
        if status or not path.is_file():
            self._answer(status or 404, b"no", "text/plain")
        elif fault == "page":
            self._answer(200, b"<html>confirm</html>", "text/html; charset=utf-8")
        elif fault == "slow":
            time.sleep(1.0)
            self.close_connection = True
        else:
            self._send_file(path.read_bytes(), fault, wanted)

    def _send_file(self, content: bytes, fault: str | None, wanted: str | None) -> None:
        if fault == "wrong":
            content = bytes([content[0] ^ 1]) + content[1:]
        if fault == "truncated":
            content = content[: len(content) // 2]
        if fault == "endless":
            content = content * 3
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if fault == "no-range":
            start = 0
        if start >= len(content):
            self._answer(416, b"", "text/plain")
            return
        body = content[start:]
        partial_status = 206 if start else 200
        self.send_response(partial_status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if fault == "dies":
            self.wfile.write(body[: max(1, len(body) // 2)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(body)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve(folder: Path, faults: Mapping[str, list[str]] | None = None) -> Iterator[Server]:
    """Serve `folder` on 127.0.0.1; `faults` gives for a file name what its next answers suffer.

    missing, error, page (a web page instead), slow (no answer), truncated (half, whole by its
    own account), dies (in mid-file), wrong (one bit), endless, no-range (ignores the range).
    """
    server = Server("")
    state = {name: list(kinds) for name, kinds in (faults or {}).items()}
    handler = partial(_Handler, folder, state, server.requests)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def fetch_dataset(entry: DatasetEntry, folder: Path, transfer: Transfer) -> None:
    """Fetch all files of a data set into `folder` and write its manifest, as its jobs do."""
    for file in entry.files.values():
        fetch(entry.name, file, folder / file.name, transfer)
    write_json(folder / "manifest.json", manifest(entry, folder))
