"""Small copies of the shift atlas, each with the true structure of its published archives.

`copies(dataset)` returns the files by name, and the registry values in which a copy differs. Images
tell nothing; what is tested is which of them are found, under which class and in which group.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import yaml
from scipy.io import savemat

from dmn.artifacts import sha256
from dmn.datasets.registry import load_registry
from mirror import Mirror, archive_bytes, picture

WNIDS = {"n01440764": "tench", "n01443537": "goldfish"}
CORRUPTIONS = {"blur": "defocus_blur", "digital": "jpeg_compression", "noise": "shot_noise"}
CORRUPTIONS |= {"weather": "fog"}
Copy = tuple[dict[str, bytes], dict[str, object]]


def _pattern(file: str, paths: list[str], classes: int, **others: object) -> Copy:
    """Return one archive with an image at each path, and a file that is none."""
    content = {path: picture(0, number) for number, path in enumerate(paths)}
    content["README.txt"] = b"not an image"
    return {file: archive_bytes(file, content)}, {"classes": classes, "test": len(paths), **others}


def _domains(file: str, root: str, domains: str, folders: str) -> Copy:
    paths = [
        f"{root}/{domain}/{folder}/pic {number:03d}.jpg"
        for domain in domains.split()
        for folder in folders.split()
        for number in range(2)
    ]
    return _pattern(file, paths, len(folders.split()))


def _imagenet_c(subset: bool = False) -> Copy:
    image = "ILSVRC2012_val_{:08d}.JPEG"
    wanted = [f"{wnid}/{image.format(i)}" for i, wnid in enumerate(WNIDS)]
    others = [f"{wnid}/{image.format(9)}" for wnid in WNIDS]
    files = {
        f"{name}.tar": archive_bytes(
            f"{name}.tar",
            {
                f"{corruption}/{severity}/{path}": picture(0, severity)
                for severity in range(1, 6)
                for path in [*wanted, *others]
            },
        )
        for name, corruption in CORRUPTIONS.items()
    }
    files["classnames.txt"] = "".join(f"{w} {name}\n" for w, name in WNIDS.items()).encode()
    if subset:
        files["imagenet_test_image_ids.txt"] = "\n".join(wanted).encode()
    images = len(wanted) if subset else len(wanted) + len(others)
    return files, {"classes": 2, "test": 4 * 5 * images}


def npy(array: np.ndarray) -> bytes:
    """Return an array as numpy saves it."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _cifar(name: str) -> Copy:
    """Five blocks of four images a corruption; the block's number is the first pixel's red."""
    images = np.zeros((20, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.repeat(np.arange(1, 6), 4)
    labels = np.tile([0, 1, 1, 0], 5)
    content = {f"{name}/{kind}.npy": npy(images) for kind in ("fog", "snow", "spatter")}
    content |= {f"{name}/labels.npy": npy(labels), f"{name}/README.txt": b"first severity 1"}
    file = f"{name}.tar"
    return {file: archive_bytes(file, content)}, {"test": 40}


def _svhn() -> Copy:
    images = np.zeros((32, 32, 3, 12), np.uint8)
    images[0, 0, 0] = np.arange(12)
    labels = np.array([[1], [2], [3], [4], [5], [6], [7], [8], [9], [10], [1], [10]], np.uint8)
    buffer = io.BytesIO()
    savemat(buffer, {"X": images, "y": labels})
    return {"test_32x32.mat": buffer.getvalue()}, {"test": 12}


def csv(columns: str, *rows: str) -> bytes:
    """Return a table of commas."""
    return "\n".join([columns, *rows, ""]).encode()


def _tabled(file: str, table: Mapping[str, bytes], images: list[str], **facts: object) -> Copy:
    content = dict(table) | {path: picture(0, number) for number, path in enumerate(images)}
    return {file: archive_bytes(file, content)}, facts


def _camelyon() -> Copy:
    rows = [
        ("004", 4, 3328, 21792, 1, 10, 2),
        ("004", 4, 3200, 22272, 0, 10, 2),
        ("017", 1, 8, 16, 1, 22, 2),
        ("020", 0, 24, 32, 1, 3, 0),
    ]
    images = [
        f"patches/patient_{p}_node_{n}/patch_patient_{p}_node_{n}_x_{x}_y_{y}.png"
        for p, n, x, y, *_ in rows
    ]
    lines = [
        f"{i},{p},{n},{x},{y},{tumor},{slide},{center},0"
        for i, (p, n, x, y, tumor, slide, center) in enumerate(rows)
    ]
    head = ",patient,node,x_coord,y_coord,tumor,slide,center,split"
    table = {"metadata.csv": csv(head, *lines)}
    return _tabled("camelyon17_v1.0.tar.gz", table, images, classes=2, test=3)


def _iwildcam() -> Copy:
    head = ",split,location_remapped,location,y,category_id,datetime,filename,image_id"
    rows = [
        "0,train,7,70,0,0,2013-01-01 00:00:00.000,a.jpg,a",
        "1,test,8,80,1,24,2013-01-01 00:00:00.000,b.jpg,b",
        "2,test,9,90,0,0,2013-01-01 00:00:00.000,c.jpg,c",
        "3,id_test,7,70,2,30,2013-01-01 00:00:00.000,d.jpg,d",
    ]
    names = csv("y,category_id,name", "0,0,empty", "1,24,panthera onca", "2,30,agouti")
    table = {"metadata.csv": csv(head, *rows), "categories.csv": names}
    images = [f"train/{name}.jpg" for name in "abcd"]
    return _tabled("iwildcam_v2.0.tar.gz", table, images, classes=3, test=2)


def _fmow() -> Copy:
    head = "split,img_filename,category,country_code,timestamp"
    rows = [
        "train,x,airport,FRA,2009-05-01T10:00:00Z",
        "test,x,zoo,FRA,2016-02-03T10:00:00Z",
        "test,x,airport,XKX,2017-11-03T10:00:00Z",
        "test,x,airport,KEN,2012-11-03T10:00:00Z",
        "seq,x,airport,KEN,2017-11-03T10:00:00Z",
    ]
    regions = csv("name,alpha-3,region", "France,FRA,Europe", "Kenya,KEN,Africa")
    table = {"rgb_metadata.csv": csv(head, *rows), "country_code_mapping.csv": regions}
    images = [f"images/rgb_img_{row}.png" for row in range(5)]
    return _tabled("fmow_v1.1.tar.gz", table, images, classes=2, test=2)


def _waterbirds() -> Copy:
    head = "img_id,img_filename,y,split,place,place_filename"
    rows = [
        f"{i},00{y}.Bird/Bird_{i}.jpg,{y},{split},{place},/p/{i}.jpg"
        for i, (y, split, place) in enumerate(
            [(0, 2, 0), (0, 2, 1), (1, 2, 0), (1, 2, 1), (1, 0, 1), (0, 1, 0)]
        )
    ]
    images = [row.split(",")[1] for row in rows]
    table = {"metadata.csv": csv(head, *rows)}
    return _tabled("waterbirds_v1.0.tar.gz", table, images, classes=2, test=4)


def _gtsrb() -> Copy:
    rows = [f"{i:05d}.ppm;53;54;6;5;48;49;{c}" for i, c in enumerate([16, 1, 38])]
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    images = {f"GTSRB/Final_Test/Images/{i:05d}.ppm": picture(0, i) for i in range(3)}
    table = {"GT-final_test.csv": "\r\n".join([head, *rows, ""]).encode()}
    names = ("GTSRB_Final_Test_Images.zip", "GTSRB_Final_Test_GT.zip")
    files = {n: archive_bytes(n, c) for n, c in zip(names, (images, table), strict=True)}
    return files, {"test": 3}


def _terra() -> Copy:
    kinds = {1: "opossum", 3: "raccoon", 99: "deer"}
    shown = {"a": (38, [1]), "b": (46, [3]), "c": (38, [1, 3]), "d": (38, [99]), "e": (7, [1])}
    images = [
        {"id": name, "file_name": f"{name}.jpg", "location": place, "width": 4}
        for name, (place, _) in shown.items()
    ]
    # an animal may have several boxes
    marks = [
        {"id": f"{name}{kind}{i}", "image_id": name, "category_id": kind}
        for name, (_, found) in shown.items()
        for kind in found
        for i in range(2)
    ]
    categories = [{"id": kind, "name": name} for kind, name in kinds.items()]
    whole = {"images": images, "annotations": marks, "categories": categories}
    empty = {"images": [], "annotations": [], "categories": categories}
    names = ("cis_test", "cis_val", "train", "trans_test", "trans_val")
    tables = {
        f"eccv_18_annotation_files/{name}_annotations.json": json.dumps(
            whole if name == "train" else empty
        ).encode()
        for name in names
    }
    pictures = {f"eccv_18_all_images_sm/{name}.jpg": picture(0, 0) for name in shown}
    files = {"eccv_18_all_images_sm.tar.gz": pictures, "eccv_18_annotations.tar.gz": tables}
    return {name: archive_bytes(name, content) for name, content in files.items()}, {"test": 2}


def _domainnet() -> Copy:
    files, listed = {}, 0
    for domain in ("clipart", "painting", "real", "sketch"):
        paths = [f"{domain}/{c}/{domain}_{n:03d}.jpg" for c in ("tiger", "zebra") for n in range(2)]
        others = [f"{domain}/The_Eiffel_Tower/{domain}_1.jpg"]
        content = {path: picture(0, n) for n, path in enumerate([*paths, *others])}
        files[f"{domain}.zip"] = archive_bytes(f"{domain}.zip", content)
        lines = [f"{path} {int('zebra' in path)}" for path in paths[:3]]
        files[f"{domain}_list.txt"] = "\n".join(lines).encode()
        listed += len(lines)
    return files, {"classes": 2, "test": listed}


def _webdataset(ending: str = "webp", metadata: int = 0, shards: int = 2) -> Copy:
    """Shards of three images whose keys come again in each, with labels of two classes."""
    files = {
        "classnames.txt": b"red fox\nblue whale\n",
        "zeroshot_classification_templates.txt": b"a photo of a {c}.\na sketch of a {c}.\n",
        "test/nshards.txt": f"{shards}\n".encode(),
    }
    for shard in range(shards):
        content: dict[str, bytes] = {}
        for row in range(3):
            key = f"s{row:07d}"
            content[f"{key}.cls"] = str(row % 2).encode()
            content[f"{key}.{ending}"] = picture(0, row)
            if metadata:
                columns = [10 * shard + row, *range(1, metadata)]
                content[f"{key}.npy"] = npy(np.array(columns, np.int64))
        files[f"test/{shard}.tar"] = archive_bytes("x.tar", content)
    return files, {"classes": 2, "test": 3 * shards}


def _scenes(name: str, classes: int) -> Copy:
    """As RS-TransCLIP's program leaves a set: images/<class>_<number>.jpg, packed by a person."""
    known = list(load_registry()[name].layout.names)
    root = load_registry()[name].layout.root
    paths = [f"{root}/{known[c]}_{n:02d}.jpg" for c in (0, 1) for n in (1, 2)]
    return _pattern(f"{root.split('/')[0]}.zip", paths, classes)


COPIES: dict[str, Callable[[], Copy]] = {
    "pacs": lambda: _domains("PACS.zip", "kfold", "art_painting cartoon photo sketch", "dog house"),
    "vlcs": lambda: _domains("VLCS.tar.gz", "VLCS", "Caltech101 LabelMe", "bird car chair"),
    "office_home": lambda: _domains(
        "office_home.zip", "OfficeHomeDataset_10072016", "Art Clipart Product", "Alarm_Clock Bed"
    ),
    "terra_incognita": _terra,
    "domainnet_126": _domainnet,
    "imagenet_c": _imagenet_c,
    "imagenet_c_5k": lambda: _imagenet_c(subset=True),
    "cifar10_c": lambda: _cifar("CIFAR-10-C"),
    "cifar100_c": lambda: _cifar("CIFAR-100-C"),
    "camelyon17": _camelyon,
    "iwildcam": _iwildcam,
    "fmow": _fmow,
    "waterbirds": _waterbirds,
    "country211": lambda: _pattern(
        "country211.tgz",
        [f"country211/test/{c}/{n}.jpg" for c in ("AD", "NO") for n in range(2)],
        211,
    ),
    "gtsrb": _gtsrb,
    "svhn": _svhn,
    "pcam": lambda: _webdataset(shards=4),
    "objectnet": lambda: _webdataset("png"),
    "imagenet_o": lambda: _webdataset("jpg"),
    "wds_camelyon17": lambda: _webdataset("png", metadata=3, shards=9),
    "wds_iwildcam": lambda: _webdataset("jpg", metadata=9),
    "wds_fmow": lambda: _webdataset("png", metadata=3),
    "aid": lambda: _pattern("AID.zip", ["BareLand/bareland_1.jpg", "Beach/beach_2.jpg"], 30),
    "mlrsnet": lambda: _pattern("MLRSNet.zip", ["Images/airport/1.jpg", "Images/lake/2.jpg"], 2),
    "rsicb128": lambda: _pattern(
        "RSI-CB128-Dataset.zip", ["dry_farm/dry_farm(1).tif", "sea/sea(1).tif"], 2
    ),
    "optimal31": lambda: _scenes("optimal31", 31),
    "patternnet": lambda: _scenes("patternnet", 38),
    "resisc45": lambda: _scenes("resisc45", 45),
    "rsc11": lambda: _scenes("rsc11", 11),
    "rsicb256": lambda: _scenes("rsicb256", 35),
}


def make_atlas_mirror(dataset: str, folder: Path) -> Mirror:
    """Write a small copy of one data set of the atlas, and its registry file, under `folder`."""
    files, facts = COPIES[dataset]()
    entry = load_registry()[dataset]
    served, manual = folder / "served", folder / "manual"
    described: dict[str, dict[str, object]] = {}
    for name, content in files.items():
        known = entry.files.get(name)
        # shards that the registry cannot count are named by a person
        brought = known is not None and not known.urls
        path = (manual if brought else served) / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        own = {"urls": [], "bytes": len(content), "sha256": sha256(path)}
        described[name] = own | {"md5": None, "git_blob": None}
    changed = {"sizes": {"test": facts.pop("test")}, "files": described, **facts}
    registry = folder / "registry.yaml"
    registry.write_text(yaml.safe_dump({"datasets": {dataset: changed}}))
    return Mirror(dataset, served, manual, registry)
