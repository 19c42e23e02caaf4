"""README and docs are filled from the kept records, and say what these say."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from understanding_bn.docs_pages import fill, markdown, values
from understanding_bn.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
YAML = ROOT / "codecheck.yml"
RECORDS = ROOT / "results" / "reference"


@pytest.fixture
def page(tmp_path):
    """Fills a page of this text; returns what it then says."""

    def filled(text, reference=RECORDS, name="page.md"):
        path = tmp_path / name
        path.write_text(text)
        fill.fill(path, reference)
        return path.read_text()

    return filled


@pytest.mark.parametrize("source", PAGES, ids=lambda path: path.name)
def test_pages_say_what_the_kept_results_say(page, source):
    assert page(source.read_text()) == source.read_text(), "run `make record`"


def test_a_yaml_file_says_what_the_kept_results_say(page):
    assert "  # n " in YAML.read_text()
    assert page(YAML.read_text(), name=YAML.name) == YAML.read_text(), "run `make record`"


def test_the_last_number_of_a_marked_line_of_yaml_is_filled(page):
    said = "- 7 is 1 of 20\n- preset 3, 999 of them  # n tally quick reproduced\n"
    filled = page(said, name="a.yml")
    count = values.tally(RECORDS / "quick", "reproduced")
    assert filled == said.replace("999", count)
    with pytest.raises(UserError, match="is not complete"):
        page("- no number  # n tally quick reproduced\n", name="a.yml")


def test_every_block_and_value_is_on_a_page():
    text = "".join(source.read_text() for source in PAGES)
    assert set(re.findall(r"<!-- BEGIN (\w+)", text)) == set(fill.BLOCKS)
    assert set(re.findall(r"<!-- (?:n|check) (\w+)", text)) == set(fill.VALUES)


def test_no_line_begins_with_a_value():
    # Markdown would end the paragraph there: a line that begins with a comment is a block of HTML.
    assert not [line for source in PAGES for line in source.read_text().splitlines() if re.match(r"\s*<!-- n ", line)]


@pytest.fixture
def reference(tmp_path):
    """A folder of records with one preset, whose first claim was reproduced."""
    folder = tmp_path / "reference" / "mine"
    folder.mkdir(parents=True)
    claim = {"id": 1, "verdict": "reproduced", "measured": 0.5, "interval": [0.25, 0.75], "checks": []}
    (folder / "claims.json").write_text(json.dumps([claim]))
    (folder / "tables").mkdir()
    (folder / "tables/one.md").write_text("| a |\n|---|\n| 1 |\n")
    return folder.parent


def test_blocks_values_and_checks_are_filled_and_the_rest_stays(page, reference):
    text = (
        "# A <!-- comment -->\n\n<!-- BEGIN kept_table mine one: do not edit -->\nold\n<!-- END kept_table -->\n\n"
        "<!-- check verdict mine 1 = reproduced -->\n"
        'It is <!-- n measured mine 1 -->old<!-- /n -->; <!-- n tally mine "not run" --><!-- /n --> were not run.\n'
    )
    table = "\n| a |\n|---|\n| 1 |\n\n"
    expected = text.replace("old\n", table).replace("-->old<", "-->0.5 [0.25, 0.75]<").replace('" --><', '" -->0<')
    assert page(text, reference) == expected
    assert page(expected, reference) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- BEGIN costs -->\nno end", "<!-- BEGIN costs --> is not complete"),
        ("<!-- BEGIN costs -->\n<!-- BEGIN plans -->\n<!-- END plans -->", "<!-- BEGIN costs --> is not complete"),
        ("<!-- END costs -->", "<!-- END costs --> is not complete"),
        ("<!-- BEGIN nothing -->\n<!-- END nothing -->", "'nothing' has no meaning; expected one of origin, costs"),
        ("<!-- n seeds quick -->3", "<!-- n seeds quick --> is not complete"),
        ("3<!-- /n -->", "<!-- /n --> is not complete"),
        (
            "<!-- n nothing quick -->3<!-- /n -->",
            "'nothing' has no meaning; expected one of at_loss, ",
        ),
        ("<!-- n seeds -->3<!-- /n -->", "'seeds': missing a required argument: 'preset'"),
        ("<!-- n verdict quick -->3<!-- /n -->", "'verdict quick': missing a required argument: 'claim'"),
        ("<!-- n seeds quick 3 -->3<!-- /n -->", "'seeds quick 3': too many positional arguments"),
        ("<!-- n seeds nowhere -->3<!-- /n -->", "nowhere: no such record"),
        ('<!-- n tally quick "not -->3<!-- /n -->', "cannot be read (No closing quotation)"),
        ("<!-- n edge cifar10-init none -->3<!-- /n -->", "hessian_spectrum_summary.csv: no such file"),
        ("<!-- check verdict quick 5 -->", "<!-- check verdict quick 5 --> is not complete"),
        ("<!-- check verdict quick 6 = opposite -->", "fails, the record says 'inconclusive'; rewrite the sentence"),
    ],
)
def test_a_mark_that_cannot_be_filled_is_one_line_and_leaves_the_page(tmp_path, text, message):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        fill.fill(path, RECORDS)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert path.read_text() == text


def test_numbers_in_pages_follow_the_records(page, tmp_path):
    copy = tmp_path / "reference"
    shutil.copytree(RECORDS, copy)
    claims = json.loads((copy / "quick/claims.json").read_text())
    claims[0] |= {"measured": 123.456, "interval": [111.0, 222.0], "verdict": "inconclusive", "seeds": 7}
    claims[0] |= {"beside": "", "method": "Student’s t"}
    (copy / "quick/claims.json").write_text(json.dumps(claims))
    assert "| 123 | 111 to 222 | 7 | Student’s t | inconclusive |" in page((ROOT / "docs/results.md").read_text(), copy)


def test_a_presets_time_is_that_of_its_jobs_and_from_the_first_to_the_last(tmp_path):
    copy = tmp_path / "reference"
    shutil.copytree(RECORDS, copy)
    provenance = json.loads((copy / "quick/provenance.json").read_text())
    job = next(iter(provenance["runs"].values()))
    starts = {
        "a": ("2026-01-01T23:50:00+00:00", 600),
        "b": ("2026-01-01T23:55:30+00:00", 2000),
        "c": ("2026-01-02T00:00:00+00:00", 60),
    }
    runs = {name: job | {"started": start, "wall_seconds": seconds} for name, (start, seconds) in starts.items()}
    facts = {"runs": runs, "planned": 3, "job_minutes": 44.3}
    (copy / "quick/provenance.json").write_text(json.dumps(provenance | facts))
    # The second ends last: 5.5 + 33.3 minutes.
    assert "| `quick` | 3 | 44 min | 39 min |" in fill.BLOCKS["costs"](copy)


def test_tables_escape_what_markdown_would_read_as_a_column():
    frame = pd.DataFrame({"|a|": ["|x| ≤ 1", "0.10"], "": ["", "–"]})
    assert markdown.table(frame, "A note.") == (
        "\n| \\|a\\| |  |\n|---|---|\n| \\|x\\| ≤ 1 |  |\n| 0.10 | – |\n\n*A note.*\n"
    )


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (1.0, (0.5, 1.5), "1.00 [0.50, 1.50]"),
        (1.0, (float("nan"), 1.5), "1.00"),
        (1.0, None, "1.00"),
        (None, None, "–"),
        (float("nan"), (0.5, 1.5), "–"),
    ],
)
def test_a_number_has_its_interval_where_there_is_one(value, interval, expected):
    assert markdown.number(value, interval, ".2f") == expected
