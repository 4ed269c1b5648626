"""The main table of README.md: taken from the reports of runs, and drawn from its own CSV.

    python -m development.readme read demo .
    python -m development.readme read satellite runs/satellite
    python -m development.readme write
    python -m development.readme check demo .

`read` puts the rows of a run's reports into docs/readme.csv, `write` makes the table of README.md
of that file, `check` says where a run's reports differ from it. A test holds the README to the
file.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pandas as pd

from dmn.artifacts import read_rows, write_rows, write_text

ROOT = Path(__file__).parents[1]
TABLE, PAGE = ROOT / "docs/readme.csv", ROOT / "README.md"
REPORT = "reports/studies/main/main.csv"
RUNS = ("demo", "satellite")
KEYS = ["dataset", "backbone", "setting", "shots", "component", "weights"]
KEPT = [*KEYS, "mean", "low", "high", "n_splits", "n_orders", "n_images", "over"]
MARK = re.compile(r"(<!-- main table -->\n).*?(<!-- end -->)", re.DOTALL)
FUSED = ("fused", "label_free")
ROWS = (
    ("text alone", "zero_shot", ("text", "none")),
    ("dynamic memory, zero-shot", "zero_shot", ("dynamic", "none")),
    ("DMN, training-free", "training_free", FUSED),
    ("DMN, trained", "few_shot", FUSED),
)
TOLERANCE = 0.1  # points; other processors may turn an image near a tie


def read(run: str, folder: Path) -> pd.DataFrame:
    """Return the rows of the table from the reports of a run. Exits where there are none."""
    path = folder / REPORT
    if not path.is_file():
        sys.exit(f"error: there is no {path}; make it with: dmn run reports/main")
    rows = read_rows(path)
    wanted = [(setting, *names) for _, setting, names in ROWS]
    found = [key in wanted for key in rows[["setting", *KEYS[-2:]]].itertuples(False, None)]
    return rows.loc[found, KEPT].assign(run=run)[["run", *KEPT]]


def write(text: str, table: pd.DataFrame) -> str:
    """Return the README with the table of `table` between its marks."""
    columns = list(table[["run", "dataset", "backbone"]].drop_duplicates().itertuples(False, None))
    heads = [
        "",
        *(f"{dataset}, {backbone.removeprefix('CLIP-')}" for _, dataset, backbone in columns),
    ]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for name, setting, names in ROWS:
        rows = table[(table[["setting", *KEYS[-2:]]] == [setting, *names]).all(axis=1)]
        for shots in sorted(rows["shots"].unique()):
            own = rows[rows["shots"] == shots].set_index(["run", "dataset", "backbone"])
            label = name + (f", {shots} shot{'s' if shots > 1 else ''}" if shots else "")
            lines.append(_line([label, *(_cell(own.loc[column]) for column in columns)]))
    return MARK.sub(lambda m: m[1] + "\n".join(lines) + "\n" + m[2], text)


def check(run: str, folder: Path, table: pd.DataFrame) -> list[str]:
    """Return in words where the reports of a run differ from the table, beyond TOLERANCE."""
    old = table[table["run"] == run].set_index(KEYS)
    new = read(run, folder).set_index(KEYS)
    if old.index.symmetric_difference(new.index).size:
        return [f"{run} has other cells than {TABLE.name}; take it anew"]
    numbers = ["mean", "low", "high"]
    apart = (old[numbers] - new.loc[old.index, numbers]).abs().max(axis=1)
    means = pd.DataFrame({"here": old["mean"], "there": new["mean"]})[apart > TOLERANCE]
    return [
        f"{', '.join(str(row[key]) for key in KEYS)}: {row['here']:.2f} here, "
        f"{row['there']:.2f} there"
        for row in means.reset_index().to_dict("records")
    ]


def _cell(row: pd.Series) -> str:
    return f"{row['mean']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def main() -> None:
    """Take a run's rows, draw the table, or check a run against it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["read", "write", "check"])
    parser.add_argument("run", nargs="?", choices=RUNS)
    parser.add_argument("folder", nargs="?", type=Path, help="folder that has the run's reports/")
    asked = parser.parse_args()
    table = read_rows(TABLE) if TABLE.exists() else pd.DataFrame(columns=["run", *KEPT])
    if asked.what == "write":
        write_text(PAGE, write(PAGE.read_text(encoding="utf-8"), table))
        return
    if asked.run is None or asked.folder is None:
        parser.error(f"{asked.what} needs the name of a run and its folder")
    if asked.what == "check":
        if wrong := check(asked.run, asked.folder, table):
            sys.exit("README.md says other numbers than the reports:\n" + "\n".join(wrong))
        return
    found = {run: table[table["run"] == run] for run in RUNS} | {
        asked.run: read(asked.run, asked.folder)
    }
    write_rows(TABLE, pd.concat([part for part in found.values() if len(part)]))


if __name__ == "__main__":
    main()
