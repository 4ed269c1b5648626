"""Files and folders that a person brought, against what the reports were made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dmn.artifacts import sha256
from dmn.audit.checks import Check, judged
from dmn.audit.configuration import run_config
from dmn.datasets.brought import brought_sha256, own_file
from dmn.digests import Digests
from dmn.pipeline import paths
from dmn.pipeline.targets import Targets

NAME = "brought files"


def check_brought(root: Path) -> Check:
    """Compare the content of each brought file or folder with what was taken from it."""
    pairs = list(_pairs(root))
    digests = Digests(root / paths.DIGESTS)
    changed = [
        f"{own} is not what {target.relative_to(root)} was made from; run again"
        for own, target in pairs
        if not target.is_file() or brought_sha256(own, target, digests) != sha256(target)
    ]
    digests.save()
    return judged(
        NAME,
        changed,
        f"{len(pairs)} files or folders, as the reports have them" if pairs else "none",
        f"{len(changed)} of {len(pairs)} have changed since the reports were made",
    )


def _pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file or folder that is brought, and the artifact that stands for it."""
    config = run_config(root)
    targets = Targets(config)
    for dataset, entry in targets.entries.items():
        if entry.kind == "digits":
            continue
        for file in targets.files(dataset):
            own = root / own_file(Path(config.download.manual), dataset, file)
            if own.exists():
                yield own, root / paths.fill(paths.ARCHIVE, dataset=dataset, file=file.name)
