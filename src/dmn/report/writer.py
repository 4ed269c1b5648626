"""All files of one study's report: its rows, tables, figures, and what the page is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.artifacts import sha256, write_rows, write_text
from dmn.errors import ArtifactError
from dmn.evaluation.answers import attach
from dmn.evaluation.contract import Report, StudyOptions
from dmn.report import tables
from dmn.report.drawing import style
from dmn.report.drawing.panels import nothing
from dmn.report.drawing.style import Plot
from dmn.report.paper.latex import latex
from dmn.report.summary import Drawing, Rows, Summary, Table
from dmn.report.words import counted, words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MAX_DATA_ROWS = 150  # a figure's numbers on the page; the study's CSV has them all


def write_study_report(
    module: ModuleType,
    rows: pd.DataFrame,
    samples: Mapping[Any, Mapping[str, np.ndarray]],
    options: StudyOptions,
    folder: Path | str,
    sources: Mapping[str, str] | None = None,
) -> Summary:
    """Write rows.csv, tables, figures and summary.json into `folder`, named after the study.

    sources: the evaluations' files and their hashes, for the page. A declared table or figure that
    this configuration has no rows for says so. Raises ArtifactError where the report has one that
    the study does not declare.
    """
    folder = Path(folder)
    study = module.__name__.rpartition(".")[2]
    report: Report = module.report(attach(rows, samples), dict(samples), options)
    _check_names(study, "TABLES", module.TABLES, report.tables)
    _check_names(study, "FIGURES", module.FIGURES, report.figures)
    table_of_rows = folder / "rows.csv"
    write_rows(table_of_rows, rows)
    written = [_write_table(report.tables.get(name), folder / name) for name in module.TABLES]
    drawn = [_write_figure(report.figures.get(name), folder / name) for name in module.FIGURES]
    summary = Summary(
        study=study,
        title=module.TITLE,
        question=module.QUESTION,
        findings=list(report.findings),
        options=options.model_dump(mode="json"),
        rows=Rows(file=_below(table_of_rows), sha256=sha256(table_of_rows), count=len(rows)),
        tables=written,
        figures=drawn,
        sources=dict(sources or {}),
    )
    summary.write(folder / "summary.json")
    return summary


def _check_names(
    study: str, constant: str, declared: Sequence[str], made: Mapping[str, object]
) -> None:
    if unknown := sorted(set(made) - set(declared)):
        raise ArtifactError(
            f"study {study}: report() made {', '.join(unknown)}, which {constant} of its module "
            f"does not declare; it declares {', '.join(declared) or 'nothing'}"
        )


def _below(path: Path) -> str:
    """Return a path as the page says it, below reports/: studies/<study>/<file>."""
    return "/".join(path.parts[-3:])


def _write_table(frame: pd.DataFrame | None, stem: Path) -> Table:
    table = tables.write(tables.empty(stem.name) if frame is None else frame, stem)
    write_text(f"{stem}.tex", latex(table))
    path = stem.with_name(f"{stem.name}.csv")
    return table.model_copy(update={"file": _below(path), "sha256": sha256(path)})


def _write_figure(figure: Figure | None, stem: Path) -> Drawing:
    figure = nothing(words(stem.name).capitalize() + ".") if figure is None else figure
    files = style.save(figure, stem)
    by_kind = {path.suffix.lstrip("."): path for path in files}
    caption = getattr(figure, "caption", "") or words(stem.name).capitalize()
    data, table = getattr(figure, "data", None), getattr(figure, "table", None)
    return Drawing(
        name=stem.name,
        caption=caption,
        alt=getattr(figure, "alt", "") or caption,
        files={kind: _below(path) for kind, path in by_kind.items()},
        sha256={kind: sha256(path) for kind, path in by_kind.items()},
        table=table,
        # numbers that stand in a table are not said again
        data=None if data is None or table is not None else _numbers(data, stem.name),
        points=figure.points() if isinstance(figure, Plot) else [],
        stories=figure.stories if isinstance(figure, Plot) else [],
    )


def _numbers(data: pd.DataFrame, name: str) -> Table:
    """Return the numbers that a figure draws; of very many every n-th, and the note says so."""
    step = -(-len(data) // MAX_DATA_ROWS) or 1
    kept = data.iloc[::step]
    # the caption stands at the figure already
    table = tables.printed(tables.describe(kept, "Numbers drawn"), name)
    if step == 1:
        return table
    note = f"{counted(len(kept), 'rows')} of {len(data)}, evenly spaced. {table.note}".strip()
    return table.model_copy(update={"note": note})
