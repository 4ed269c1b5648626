"""The page: self-contained, escaped, the numbers of the CSV, and it works in a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

import report_example
from dmn.artifacts import read_json, read_rows, sha256, write_json, write_text
from dmn.config import Config
from dmn.config.writing import commented_yaml
from dmn.errors import ArtifactError
from dmn.evaluation.contract import Report
from dmn.report.grids import grid
from dmn.report.page import LINES, RunFacts, overview, read_facts, render
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
    sources = [a["src"] for _, a in outline.tags if "src" in a]
    sources += [a["href"] for a in outline.all("link")]
    assert sources
    assert all(str(place).startswith("data:") for place in sources)
    assert "default-src 'none'" in str(outline.all("meta")[1]["content"])


def test_every_link_has_a_target_and_ids_are_unique(outline: Outline, folder: Path) -> None:
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(a["href"]) for a in outline.all("a")]
    inside = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert len(inside) > 5
    assert inside <= set(map(str, ids))
    files = {link for link in links if not link.startswith("#")}
    written = {f"studies/example/{path.name}" for path in (folder / "studies/example").iterdir()}
    assert files == written - {"studies/example/summary.json"}


def test_the_main_results_come_first(folder: Path, summary: Summary) -> None:
    changes = ({"study": name, "title": name, "figures": []} for name in ("zz", "main"))
    others = [summary.model_copy(update=change) for change in changes]
    shown = render(others, FACTS, folder)
    assert shown.index(">main</h2>") < shown.index(">zz</h2>")


def test_text_from_data_is_escaped(page: str, outline: Outline) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    # the second is the page's own; the first holds data, in which no tag can stand
    assert [script.get("type") for script in outline.all("script")] == ["application/json", None]
    told = page.partition('id="stories">')[2].partition("</script>")[0]
    assert json.loads(told)[0]["told"][2][3][0] == report_example.HOSTILE
    assert not set("<>&") & set(told)
    labels = [row[0] for table in outline.tables for row in table]
    assert report_example.HOSTILE in labels


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
        content = unquote(str(image["src"]).partition(",")[2]).encode()
        assert content == (folder / drawing.files["svg"]).read_bytes()
        assert image["alt"]
        assert all(sha256(folder / drawing.files[k]) == drawing.sha256[k] for k in drawing.files)


def test_numbers_in_tables_agree_with_the_csv(folder: Path, summary: Summary) -> None:
    for table in summary.tables:
        csv = read_rows(folder / table.file)
        means = [c.key == "mean" or "=" in c.key for c in table.columns]
        rows = [[c for c, mean in zip(r, means, strict=True) if mean] for r in table.rows]
        assert sorted(c.value for r in rows for c in r) == sorted(csv["mean"].round(6))
        assert sha256(folder / table.file) == table.sha256


def test_the_page_shows_every_cell_of_the_tables_and_numbers(
    summary: Summary, outline: Outline
) -> None:
    drawn = [drawing.data for drawing in summary.figures if drawing.data is not None]
    assert [bool(d.data) for d in summary.figures if d.table] == [False]
    expected = [summary.tables[0], *drawn, *summary.tables[1:]]
    assert len(outline.tables) == len(expected)
    for rows, table in zip(outline.tables, expected, strict=True):
        shown = [text for row in rows[1:] for text in row[1:] if text]
        measured = [
            cell.text.replace(" [", "[")
            for row in table.rows
            for cell, column in zip(row, table.columns, strict=True)
            if column.key == "mean" or "=" in column.key
        ]
        assert set(measured) <= set(shown)
        assert sum(len(row) > 1 for row in rows[1:]) == grid(table).count


def test_numbers_behind_a_figure_are_those_of_the_rows(summary: Summary) -> None:
    drawing = next(d for d in summary.figures if d.name == "components")
    assert drawing.data is not None
    rows = report_example.rows()
    keys = ["shots", "component", "weights"]
    plain = rows.groupby(keys, sort=False)["value"].mean()
    mean = [c.key for c in drawing.data.columns].index("mean")
    assert [row[mean].value for row in drawing.data.rows] == pytest.approx(plain.round(6).tolist())


def test_what_the_pointer_finds_is_in_the_csv(folder: Path, summary: Summary) -> None:
    drawing = next(d for d in summary.figures if d.name == "shots")
    assert drawing.points
    rows = read_rows(folder / "studies/example/main.csv")
    measured = {f"{row.mean:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in rows.itertuples()}
    for x, y, text in drawing.points:
        assert 0 <= x <= 1000
        assert 0 <= y <= 1000
        assert text.partition(": ")[2] in measured | {text.partition(": ")[2].partition(" [")[0]}
    assert len({text for _, _, text in drawing.points}) == len(rows)


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
    ] * 4
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


ROWS = "[...document.querySelectorAll('#study-example-table-{name} tbody tr:not(.group)')]"
SHOWN = f"{ROWS}.filter(r => !r.hidden)"


def shown(tab, name: str) -> int:
    """Return how many rows of a table are seen."""
    return tab.run(f"{SHOWN.format(name=name)}.length")


def choose(tab, name: str, value: str) -> None:
    """Set one choice of the filter as a reader does."""
    tab.run(
        f"(e => {{ e.value = {json.dumps(value)}; "
        "e.dispatchEvent(new Event('input', {bubbles: true})) })"
        f"(document.querySelector('[name={name}]'))"
    )


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def tab(folder: Path, tmp_path: Path, request: pytest.FixtureRequest):
    """The page in a browser, on a desk in the light and on a phone in the dark."""
    import chromium

    with chromium.fitting(folder / "index.html", request.param, tmp_path) as tab:
        yield tab


@pytest.mark.chromium
def test_a_head_sorts_its_table_by_click_and_by_key(tab) -> None:
    assert tab.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    values = f"{ROWS.format(name='classes')}.map(r => r.cells[1].dataset.value)"
    head = "document.querySelectorAll('#study-example-table-classes th')[1]"
    tab.run(f"{head}.firstElementChild.click()")
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert list(map(float, tab.run(values))) == [-2.0, 1.0, 10.0]
    tab.run(f"{head}.firstElementChild.focus()")
    tab.press("Enter", 13, "\r")
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "descending"
    assert list(map(float, tab.run(values))) == [10.0, 1.0, -2.0]


@pytest.mark.chromium
def test_a_choice_hides_other_data_sets_settings_and_shots(tab) -> None:
    columns = "[...document.querySelectorAll('#study-example-table-cells thead th')]"
    columns += ".filter(h => !h.hidden).length"
    assert (shown(tab, "cells"), tab.run(columns)) == (12, 7)
    choose(tab, "dataset", "letters")
    assert (shown(tab, "cells"), tab.run(columns)) == (6, 7)
    choose(tab, "setting", "few-shot")
    assert (shown(tab, "cells"), tab.run(columns)) == (6, 4)
    choose(tab, "shots", "16")
    assert (shown(tab, "cells"), tab.run(columns)) == (6, 2)
    choose(tab, "setting", "zero-shot")
    assert tab.run("document.querySelector('#study-example-table-cells').hidden")
    tab.run("document.querySelector('#filter [type=reset]').click()")
    tab.run("filter()")
    assert (shown(tab, "cells"), tab.run(columns)) == (12, 7)


@pytest.mark.chromium
def test_a_search_leaves_what_has_the_word_and_opens_where_it_lies(tab) -> None:
    choose(tab, "search", "VALIDATION")
    assert shown(tab, "cells") == 2
    assert tab.run("document.querySelector('#study-example-table-cells').closest('details').open")
    assert tab.run("document.querySelector('#study-example-table-classes').hidden")
    assert "rows" in tab.run("document.querySelector('output').value")
    choose(tab, "search", "")
    assert not tab.run("document.querySelector('#study-example-table-classes').hidden")


@pytest.mark.chromium
def test_a_long_table_is_seen_whole_when_asked(tab) -> None:
    button = "document.querySelector('#study-example-table-many button.all')"
    assert shown(tab, "many") == LINES
    assert tab.run(f"{button}.textContent") == "Show all 60 rows"
    tab.run(f"{button}.click()")
    assert shown(tab, "many") == 60
    tab.run(f"{button}.click()")
    assert shown(tab, "many") == LINES
    choose(tab, "search", "kind 59")
    assert shown(tab, "many") == 1


@pytest.mark.chromium
def test_links_lead_to_what_is_seen_and_mark_their_section(tab) -> None:
    links = tab.run("[...document.links].map(l => l.getAttribute('href'))")
    for place, link in enumerate(links):
        if link.startswith("#"):
            tab.run(f"document.links[{place}].click()")
            assert tab.run("location.hash") == link
            assert tab.run(f"document.querySelector({json.dumps(link)}) !== null")
    tab.run("document.documentElement.style.scrollBehavior = 'auto'")
    tab.run("location.hash = '#study-example-table-many'")
    tab.wait("document.querySelector('#study-example-table-many').checkVisibility()")
    marked = "document.querySelector('nav [aria-current]')?.getAttribute('href')"
    tab.wait(f"{marked} === '#study-example'")
    tab.run("document.activeElement.blur()")


@pytest.mark.chromium
def test_the_pointer_near_a_point_is_told_its_value(tab) -> None:
    image = "document.querySelector('#study-example-figure-shots img')"
    tab.run(f"{image}.scrollIntoView()")
    tab.run(
        f"(i => {{ const [x, y] = JSON.parse(i.dataset.points)[0], b = i.getBoundingClientRect();"
        "i.dispatchEvent(new PointerEvent('pointermove', {clientX: b.left + x * b.width / 1000,"
        f"clientY: b.top + y * b.height / 1000}})) }})({image})"
    )
    told = tab.run("document.querySelector('.tip:not([hidden])').textContent")
    assert told in tab.run(f"JSON.parse({image}.dataset.points).map(p => p[2])")
    tab.run(f"{image}.dispatchEvent(new PointerEvent('pointerleave'))")
    assert tab.run("document.querySelector('.tip').hidden")


@pytest.mark.chromium
def test_in_the_dark_page_and_figures_are_dark(tab) -> None:
    dark = tab.run("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(paper[3:].replace("(", "[").replace(")", "]"))) < 200) == dark
    turned = tab.run("getComputedStyle(document.images[0]).filter")
    assert turned.startswith("invert(1)") == dark


@pytest.mark.chromium
def test_paper_has_no_folded_part(tab) -> None:
    printed = tab.pdf()
    assert printed.startswith(b"%PDF")
    assert 0 < len(re.findall(rb"/Type\s*/Page[^s]", printed)) <= 6
    tab.send("Emulation.setEmulatedMedia", media="print")
    assert not tab.run("document.querySelector('#study-example-table-many').checkVisibility()")
    assert tab.run("document.querySelector('#study-example-table-main').checkVisibility()")
    assert not tab.run("document.querySelector('#filter').checkVisibility()")


FIRST = "#sample-digits-glyph-test-a-1-png"
STORY = "document.querySelector('.story')"


def test_each_image_that_turned_is_told_without_a_script_too(outline: Outline, page: str) -> None:
    listed = [a["id"] for a in outline.all("li") if str(a.get("id", "")).startswith("sample-")]
    assert [f"#{name}" for name in listed[:2]] == [FIRST, "#sample-digits-glyph-test-2-png"]
    assert len(listed) == len(set(listed)) == 4
    assert "3: text 3, memory" in page
    assert "turned wrong in 2 of 3 orders" in page
    assert '<a href="#study-example-figure-gallery-samples">the list of turned images</a>' in page


@pytest.mark.chromium
def test_a_link_to_a_sample_tells_its_story(tab) -> None:
    tab.run(f"location.hash = '{FIRST}'")
    tab.wait(f"{STORY}.checkVisibility() && {STORY}.textContent.includes('test/a 1.png')")
    text = tab.run(f"{STORY}.textContent")
    for part in (
        "Zero-shot, order 1: image 8 of 540. Pseudo-label, by text on its views: 3, with an "
        "entropy of 0.250 nats.",
        "It was stored in slot 2, in place of test/2.png.",
        "dynamic" + report_example.HOSTILE + "75.0%12.5%",
        "892✓ right✓ right✗ wrong",
        "dmn explain test/a 1.png --dataset digits --backbone glyph --order 1",
    ):
        assert part in text
    assert tab.run(f"{STORY}.querySelector('.own').naturalWidth") == 1
    # a neighbour that is told too is a link to its own story
    tab.run(f"{STORY}.querySelector('tbody a').click()")
    tab.wait(f"{STORY}.querySelector('h4').textContent === 'test/2.png: 3'")
    tab.run("location.hash = '#sample-letters-glyph-test-a-1-png'")
    tab.wait(f"{STORY}.textContent.includes('letters, glyph')")
    assert tab.run(f"{STORY}.querySelector('img')") is None


@pytest.mark.chromium
def test_samples_are_found_by_name_and_gone_through_by_key(tab) -> None:
    shown = "[...document.querySelectorAll('.samples li')].filter(l => !l.hidden)"
    tab.run("document.querySelector('.explorer').open = true")
    search = "document.querySelector('.find input')"
    tab.run(f"{search}.value = 'TEST/2'; {search}.dispatchEvent(new Event('input'))")
    assert tab.run(f"{shown}.map(l => l.id)") == ["sample-digits-glyph-test-2-png"]
    tab.run(f"{search}.value = ''; {search}.dispatchEvent(new Event('input'))")
    assert tab.run(f"{shown}.length") == 4
    choose(tab, "dataset", "letters")
    assert tab.run(f"{shown}.length") == 1
    choose(tab, "dataset", "")
    tab.run(f"{shown}[0].firstElementChild.focus()")
    tab.press("Enter", 13, "\r")
    # the address is there before the page has heard of it
    tab.wait(f"location.hash === '{FIRST}' && document.activeElement.ariaCurrent === 'true'")
    tab.press("ArrowDown", 40)
    tab.wait("location.hash === '#sample-digits-glyph-test-2-png'")
    tab.wait(f"{STORY}.querySelector('h4').textContent === 'test/2.png: 3'")
    tab.run(f"{STORY}.querySelector('.steps button').click()")
    tab.wait(f"location.hash === '{FIRST}'")
    assert tab.run("document.querySelectorAll('.samples [aria-current]').length") == 1


@pytest.mark.chromium
def test_on_a_phone_the_numbers_stand_right_under_the_answer(tab) -> None:
    top = "document.querySelector('{}').getBoundingClientRect().top"
    table, figure = (tab.run(top.format(f".lead > {part}")) for part in ("section", "figure"))
    assert (table < figure) == (tab.run("innerWidth") < 600)
