"""Which files of an entry hold a backbone's arrays and a prompt's text, told by names alone."""

from __future__ import annotations

from dmn.datasets.formats import find, recognise
from dmn.datasets.formats.rules import FeatureFiles
from dmn.datasets.registry import DatasetEntry
from dmn.errors import DataError, FeatureError, nearest


def backbone_files(entry: DatasetEntry) -> dict[str, FeatureFiles]:
    """Return what is where by backbone, from the names of the entry's files.

    A data set whose files name no backbone has the one '' unless its entry names it. FeatureError
    where the names are of no known form, or of several data sets.
    """
    facts = entry.features
    found = find(facts.format, entry.files) if facts.format else recognise(entry.files)[1]
    if len(found) != 1:
        listed = ", ".join(sorted(found)[:8]) or "none"
        raise FeatureError(f"{entry.name}: the files are of {len(found)} data sets ({listed})")
    (by_backbone,) = found.values()
    if set(by_backbone) == {""} and len(facts.backbones) == 1:
        return {next(iter(facts.backbones)): by_backbone[""]}
    for backbone in facts.backbones:
        if backbone not in by_backbone:
            known = nearest(backbone, by_backbone)
            raise FeatureError(f"{entry.name} has no files of backbone {backbone!r}; {known}")
    wanted = facts.backbones or by_backbone
    return {backbone: files for backbone, files in by_backbone.items() if backbone in wanted}


def files_of(entry: DatasetEntry, backbone: str) -> FeatureFiles:
    """Return what is where of one backbone; any name will do where the files name none."""
    found = backbone_files(entry)
    if set(found) == {""}:
        return found[""]
    if backbone not in found:
        known = nearest(backbone, found)
        raise DataError(f"{entry.name} has no features of backbone {backbone!r}; {known}")
    return found[backbone]


def chosen_text(entry: DatasetEntry, files: FeatureFiles, wanted: str | None) -> str:
    """Return which prompt's text is taken: `wanted`, else the entry's, else `text`, else the first.

    DataError where there is none, or not the wanted one.
    """
    if not files.text:
        raise DataError(
            f"{entry.name} has no text features among {sorted(entry.files)}; add text.npz or "
            "text.safetensors with `features` [C, D], or text.pt, to its files"
        )
    name = wanted or entry.features.text
    if name is None:
        return "text" if "text" in files.text else min(files.text)
    if name not in files.text:
        raise DataError(f"{entry.name} has no text {name!r}; {nearest(name, files.text)}")
    return name
