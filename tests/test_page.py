"""The page: self-contained, escaped, the numbers of the CSV, and it works in a browser."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

import report_example
from dmn.artifacts import read_json, read_rows, sha256, write_json, write_text
from dmn.config import Config
from dmn.config.writing import commented_yaml
from dmn.errors import ArtifactError
from dmn.evaluation.contract import Report
from dmn.report.page import RunFacts, overview, read_facts, render
from dmn.report.summary import Summary, read_summary
from dmn.report.writer import write_study_report

FACTS = RunFacts(Config(), "seeds: <none>\n")


class Outline(HTMLParser):
    """Tags with their attributes, and the text of the cells of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    report_example.write(folder)
    return folder


@pytest.fixture(scope="module")
def summary(folder: Path) -> Summary:
    return read_summary(folder / "studies" / "example" / "summary.json")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_the_page_needs_nothing_beside_itself(outline: Outline) -> None:
    places = [a.get("src") or a.get("href") for _, a in outline.tags if "src" in a or "href" in a]
    assert places
    assert all(str(place).startswith(("#", "data:")) for place in places)
    assert "default-src 'none'" in str(outline.all("meta")[1]["content"])


def test_every_internal_link_has_a_target_and_ids_are_unique(outline: Outline) -> None:
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(a["href"]) for a in outline.all("a")]
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= set(map(str, ids))


def test_the_main_results_come_first(folder: Path, summary: Summary) -> None:
    changes = ({"study": name, "title": name, "figures": []} for name in ("zz", "main"))
    others = [summary.model_copy(update=change) for change in changes]
    shown = render(others, FACTS, folder)
    assert shown.index(">main</h2>") < shown.index(">zz</h2>")


def test_text_from_data_is_escaped(page: str, outline: Outline) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert len(outline.all("script")) == 1
    assert report_example.HOSTILE in [row[0] for table in outline.tables for row in table]


def test_headings_do_not_skip_a_level(outline: Outline) -> None:
    levels = [int(tag[1]) for tag, _ in outline.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_every_figure_is_embedded_as_it_was_written(
    folder: Path, summary: Summary, outline: Outline
) -> None:
    images = outline.all("img")
    assert len(images) == len(summary.figures) == 8
    for image, drawing in zip(images, summary.figures, strict=True):
        content = base64.b64decode(str(image["src"]).partition(",")[2])
        assert content == (folder / drawing.files["svg"]).read_bytes()
        assert image["alt"]
        assert all(sha256(folder / drawing.files[k]) == drawing.sha256[k] for k in drawing.files)


def test_numbers_in_tables_agree_with_the_csv(folder: Path, summary: Summary) -> None:
    for table in summary.tables:
        csv = read_rows(folder / table.file)
        shown = sorted(c.value for row in table.rows for c in row if c.value is not None)
        assert shown == sorted(csv["mean"].round(6))
        assert sha256(folder / table.file) == table.sha256


def test_the_page_shows_the_tables_and_numbers_of_the_summary(
    summary: Summary, outline: Outline
) -> None:
    drawn = [drawing.data for drawing in summary.figures if drawing.data is not None]
    expected = [*drawn, *summary.tables]
    assert len(outline.tables) == len(expected)
    for rows, table in zip(outline.tables, expected, strict=True):
        assert rows[0] == [column.label for column in table.columns]
        assert rows[1:] == [[cell.text for cell in row] for row in table.rows]


def test_numbers_behind_a_figure_are_those_of_the_rows(summary: Summary) -> None:
    drawing = next(d for d in summary.figures if d.name == "shots")
    assert drawing.data is not None
    rows = report_example.rows()
    keys = ["shots", "component", "weights"]
    plain = rows.groupby(keys, sort=False)["value"].mean()
    mean = [c.key for c in drawing.data.columns].index("mean")
    assert [row[mean].value for row in drawing.data.rows] == pytest.approx(plain.round(6).tolist())


def test_equal_input_gives_equal_bytes(folder: Path, summary: Summary) -> None:
    assert render([summary], FACTS, folder) == render([summary], FACTS, folder)


def test_a_figure_that_is_missing_or_changed_is_refused(tmp_path: Path, summary: Summary) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read figure .*shots\.svg: No such file"):
        render([summary], FACTS, tmp_path)
    write_text(tmp_path / summary.figures[0].files["svg"], "<svg/>")
    with pytest.raises(ArtifactError, match=r"shots\.svg is not the figure that its summary"):
        render([summary], FACTS, tmp_path)


def test_a_broken_summary_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    values = read_json(folder / "studies" / "example" / "summary.json")
    del values["title"]
    write_json(tmp_path / "summary.json", values)
    with pytest.raises(ArtifactError, match="is not a study's summary: title: Field required"):
        read_summary(tmp_path / "summary.json")


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    module = report_example.study()
    module.__dict__.update(report=lambda *_: Report({}, {}, []), FIGURES=("shots",))
    written = write_study_report(
        module, pd.DataFrame({"value": [1.0]}), {}, report_example.Options(), tmp_path / "example"
    )
    assert [t.rows[0][0].text for t in written.tables] == [
        "not measured with this configuration"
    ] * 2
    assert (tmp_path / "example" / "shots.pdf").exists()


def test_an_undeclared_table_is_refused(tmp_path: Path) -> None:
    module = report_example.study()
    module.__dict__["report"] = lambda *_: Report({"more": pd.DataFrame()}, {}, [])
    with pytest.raises(ArtifactError, match="made more, which TABLES of its module does not decl"):
        write_study_report(
            module, pd.DataFrame({"value": [1.0]}), {}, report_example.Options(), tmp_path
        )


def test_the_facts_of_a_run_come_from_its_files(tmp_path: Path) -> None:
    write_text(tmp_path / "config.yaml", commented_yaml(Config()))
    manifest = {"files": [{"name": "digits.zip", "sha256": "0" * 64}]}
    write_json(tmp_path / "manifest.json", manifest)
    facts = read_facts(tmp_path / "config.yaml", [tmp_path / "manifest.json"])
    assert facts.config == Config()
    assert facts.hashes[str(tmp_path / "digits.zip")] == "0" * 64
    assert "torch" in facts.versions
    assert overview(facts.config)["order seeds (which stream)"] == "0-9 (10 orders)"


@pytest.mark.chromium
@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="Debian's chromium is absent")
@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_the_page_works_in_a_browser(folder: Path, tmp_path: Path, width: int) -> None:
    import chromium

    path = folder / "index.html"
    with chromium.browser(tmp_path) as tab:
        tab.open(path, width, 800, dark=width < 600)
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")

        values = "[...document.querySelectorAll('#study-example-table-classes tbody tr')]"
        values += ".map(r => r.cells[1].dataset.value)"
        head = "document.querySelectorAll('#study-example-table-classes th')[1]"
        tab.run(f"{head}.firstElementChild.click()")
        assert tab.run(f"{head}.getAttribute('aria-sort')") == "ascending"
        assert list(map(float, tab.run(values))) == [-2.0, 1.0, 10.0]
        tab.run(f"{head}.firstElementChild.focus()")
        tab.press("Enter", 13, "\r")
        assert tab.run(f"{head}.getAttribute('aria-sort')") == "descending"
        assert list(map(float, tab.run(values))) == [10.0, 1.0, -2.0]

        links = tab.run("[...document.links].map(l => l.getAttribute('href'))")
        for place, link in enumerate(links):
            tab.run(f"document.links[{place}].click()")
            assert tab.run("location.hash") == link
            assert tab.run(f"document.querySelector({json.dumps(link)}) !== null")
        tab.run("document.activeElement.blur()")
        assert tab.pdf().startswith(b"%PDF")
        assert tab.complaints == []
        assert set(tab.requests) == {path.resolve().as_uri()}
