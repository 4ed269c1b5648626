"""The page: reports/index.html, one file without network or external script, of all studies.

Equal input gives equal bytes: no dates, no machine. All text from data is escaped by the template;
figures are data URIs, in which no script runs, and a content security policy allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dmn.artifacts import read_json, sha256, write_text
from dmn.config import Config, load
from dmn.errors import ArtifactError
from dmn.report.explorer import stories
from dmn.report.grids import grid
from dmn.report.summary import Drawing, Summary, Table
from dmn.report.words import counted, listed, words
from dmn.schema import read_yaml
from dmn.seeds import all_seeds

TEMPLATES = Path(__file__).parent
MAX_SVG = 250_000  # bytes; drawings with more marks than that are embedded as PNG
PACKAGES = (
    "dmn-repro",
    "numpy",
    "torch",
    "open_clip_torch",
    "torchvision",
    "scikit-learn",
    "scipy",
    "pandas",
    "matplotlib",
    "snakemake",
    "dvc",
)
TITLE = "Dual Memory Networks"
SHOWN = 3  # findings of a study that are not folded
LINES = 24  # rows of a table that are not folded
IN_TITLE = 3  # data sets
PLACED = re.compile(r"(?P<dataset>\S+) \((?P<backbone>[^()]+)\)")


@dataclass(frozen=True)
class RunFacts:
    """What was run: the configuration, its resolved text, versions and hashes of the inputs."""

    config: Config
    config_text: str
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


def read_facts(config_file: Path | str, manifests: Sequence[Path | str] = ()) -> RunFacts:
    """Return the facts of a run from its resolved configuration and its downloads' manifests."""
    path = Path(config_file)
    config = load(read_yaml(path), str(path))
    hashes = {str(path): sha256(path)}
    for manifest in manifests:
        for file in read_json(manifest)["files"]:
            hashes[str(Path(manifest).parent / file["name"])] = file["sha256"]
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    return RunFacts(config, path.read_text(encoding="utf-8"), versions, hashes)


def write_page(summaries: Sequence[Summary], facts: RunFacts, path: Path | str) -> None:
    """Write the page to `path`; the figures are read from the studies' folders beside it.

    Raises ArtifactError where a figure is missing or is not the one of the summary.
    """
    path = Path(path)
    write_text(path, render(summaries, facts, path.parent))


def render(summaries: Sequence[Summary], facts: RunFacts, folder: Path) -> str:
    """Return the page as HTML, the main results first; `folder` holds the studies' folders."""
    summaries = sorted(summaries, key=lambda summary: summary.study != "main")
    style = _text("page.css") + stories.part("css")
    script = _text("page.js") + stories.part("js")
    told = [d for summary in summaries for d in summary.figures if d.stories]
    figures = iter(range(1, 1 + sum(len(s.figures) for s in summaries)))
    tables = iter(range(1, 1 + sum(len(s.tables) for s in summaries)))
    config = facts.config
    return _template().render(
        title=f"{TITLE} on {listed(config.datasets, IN_TITLE)}",
        filters=_filters(config),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        overview=overview(config),
        facts=facts,
        stories=Markup(stories.embedded(told)) if told else "",
        studies=[_section(summary, figures, tables, folder) for summary in summaries],
    )


def overview(config: Config) -> dict[str, str]:
    """Return what was run in a reader's words."""
    seeds, model = config.seeds, config.model
    orders = len(all_seeds(seeds.order))
    return {
        "data sets": ", ".join(config.datasets),
        "backbones": ", ".join(config.backbones),
        "settings": ", ".join(map(words, config.settings)),
        "shots per class": ", ".join(map(str, config.shots)),
        "split seeds (which shots)": ", ".join(map(str, seeds.split)),
        "order seeds (which stream)": f"{', '.join(map(str, seeds.order))} ({orders} orders)",
        "training seeds": ", ".join(map(str, seeds.training)),
        "dynamic memory": f"{counted(model.length, 'slots')} per class",
        "readout": f"{model.readout}, beta {model.beta:g}",
        "views per test image": f"{config.views.test}, {model.view_share:.0%} of them kept",
        "fixed fusion weights": ", ".join(f"{w:g}" for w in config.fusion.fixed),
        "numerics": f"{config.numerics.dtype} on {config.numerics.device}",
    }


def _filters(config: Config) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what a reader can choose from: label, and values as the tables have them."""
    settings = {words(setting): words(setting) for setting in config.settings}
    choices = {
        "dataset": ("data set", {name: name for name in config.datasets}),
        "backbone": ("backbone", {name: name for name in config.backbones}),
        "setting": ("setting", settings),
        "shots": ("shots", {str(shots): str(shots) for shots in sorted(config.shots)}),
    }
    return {key: choice for key, choice in choices.items() if len(choice[1]) > 1}


def _files(own: Table | Drawing) -> dict[str, str]:
    """Return the files of a table or a figure below reports/, by their kinds."""
    if isinstance(own, Drawing):
        return {kind.upper(): own.files[kind] for kind in own.files}
    stem = own.file.removesuffix(".csv")
    return {"CSV": own.file, "TeX": f"{stem}.tex", "Markdown": f"{stem}.md"} if own.file else {}


def _compact(points: Sequence[tuple[int, int, str]]) -> str:
    return json.dumps(points, ensure_ascii=False, separators=(",", ":"))


def _place(finding: str) -> dict[str, str]:
    """Return the data set and backbone that a finding is of, nothing where it is of several."""
    found = PLACED.match(finding)
    return found.groupdict() if found else {}


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def templates(*folders: Path) -> jinja2.Environment:
    """Return where pages' templates are read: all text is escaped, an unknown name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def hashed(text: str) -> str:
    """Return a style or script as a content security policy names it."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


@cache
def _template() -> jinja2.Template:
    environment = templates(TEMPLATES, stories.FOLDER)
    environment.filters["grid"] = grid
    environment.filters["files"] = _files
    environment.filters["compact"] = _compact
    environment.filters["place"] = _place
    environment.filters["stories"] = stories.items
    environment.globals["shown"] = SHOWN
    environment.globals["lines"] = LINES
    return environment.get_template("page.html")


def _policy(style: str, script: str) -> str:
    """Return a policy that allows this page's own style and script by hash, and data images."""
    return (
        f"default-src 'none'; img-src data:; style-src {hashed(style)}; "
        f"script-src {hashed(script)}; base-uri 'none'; form-action 'none'"
    )


def _section(summary: Summary, figures: Any, tables: Any, folder: Path) -> dict[str, Any]:
    numbered = [_table(table, next(tables), summary) for table in summary.tables]
    by_name = {entry["table"].name: entry for entry in numbered}
    drawings = [_figure(d, next(figures), by_name, summary, folder) for d in summary.figures]
    section = f"study-{summary.study}"
    return {"id": section, "summary": summary, "figures": drawings, "tables": numbered}


def _table(table: Table, number: int, summary: Summary) -> dict[str, Any]:
    return {"table": table, "number": number, "id": f"study-{summary.study}-table-{table.name}"}


def _figure(
    drawing: Drawing,
    number: int,
    tables: Mapping[str, dict[str, Any]],
    summary: Summary,
    folder: Path,
) -> dict[str, Any]:
    content = _content(folder, drawing, "svg")
    width, height = _size(content, drawing)
    source = f"data:image/svg+xml,{_in_address(content.decode())}"
    if len(content) > MAX_SVG:
        png = base64.b64encode(_content(folder, drawing, "png")).decode()
        source = f"data:image/png;base64,{png}"
    return {
        "drawing": drawing,
        "number": number,
        "id": f"study-{summary.study}-figure-{drawing.name}",
        "width": width,
        "height": height,
        "source": Markup(source),
        "table": tables.get(drawing.table or ""),
    }


def _in_address(text: str) -> str:
    """Return a text that stands in a data address, in double quotes, in HTML.

    Half as long again in base64; line breaks between tags are of no matter there.
    """
    for letter, written in (("%", "%25"), ("#", "%23"), ('"', "%22"), ("&", "&amp;")):
        text = text.replace(letter, written)
    return text


def _content(folder: Path, drawing: Drawing, kind: str) -> bytes:
    path = folder / drawing.files[kind]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"cannot read figure {path}: {error.strerror}; make it with: snakemake --cores 2 {path}"
        ) from None
    if hashlib.sha256(content).hexdigest() != drawing.sha256[kind]:
        raise ArtifactError(
            f"{path} is not the figure that its summary.json names; "
            f"delete {path.parent} and run again"
        )
    return content


def _size(svg: bytes, drawing: Drawing) -> tuple[int, int]:
    """Return width and height in CSS pixels, a quarter larger than in print."""
    found = re.search(rb"viewBox=[\"']0 0 ([\d.]+) ([\d.]+)[\"']", svg[:4000])
    if found is None:
        raise ArtifactError(f"{drawing.files['svg']} is not a drawing; delete it and run again")
    width, height = (float(number) * 4 / 3 * 1.25 for number in found.groups())
    return round(width), round(height)
