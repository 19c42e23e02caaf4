"""report.html in a real browser: what moves on it, what it asks for, and whether everybody can use it."""

import json
import shutil
from pathlib import Path

import pytest

from understanding_bn import files
from understanding_bn.claims.checks import PRECONDITION
from understanding_bn.report import page as page_of_report

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD = ROOT / "results/reference/open-questions"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 800}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (on Debian: apt install chromium)")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a kept record, in a folder laid out like results/PRESET."""
    folder = tmp_path_factory.mktemp("results") / "open-questions"
    for name in ("figures", "tables"):
        shutil.copytree(RECORD / name, folder / name)
    runs = []
    for place, run in files.read_json(RECORD / "provenance.json")["runs"].items():
        runs.append(folder / place / "run.json")
        files.write_json(runs[-1], run)
    items = [*sorted(folder.glob("figures/*.png")), *sorted(folder.glob("tables/*.md"))]
    beside = ROOT / "results/reference/cifar10-init/claims.json"
    judged = (RECORD / "claims.json", RECORD / "followups.json")
    page_of_report.run("open-questions", *judged, items, runs, ROOT / "workflow/report", beside, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, report):
    """Opens the page in a scheme and a size; it must complain of nothing and ask the network for nothing."""
    contexts, said, asked = [], [], []

    def open_page(scheme="light", viewport=WIDE, place=""):
        contexts.append(browser.new_context(color_scheme=scheme, viewport=viewport))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri() + place)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == {report.as_uri()}


def shown(page, table="#claims-table"):
    return page.locator(f"{table} tbody:visible").evaluate_all("claims => claims.map(claim => claim.id)")


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", WIDE), ("dark", WIDE), ("light", PHONE), pytest.param("dark", PHONE, marks=pytest.mark.slow)],
)
def test_the_page_can_be_used_by_everybody(opened, scheme, viewport):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(scheme, viewport)
    page.evaluate("document.querySelectorAll('details').forEach(part => (part.open = true))")
    page.locator("#view-fig4_divergence_heatmap svg").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"], "the page scrolls sideways"
    found = Axe().run(page).response["violations"]
    assert [f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:200]}" for v in found] == []


def test_the_two_schemes_differ_and_figures_stay_on_white(opened):
    colours = {}
    for scheme in ("light", "dark"):
        page = opened(scheme)
        colour = "element => getComputedStyle(element).backgroundColor"
        colours[scheme] = [page.locator(where).first.evaluate(colour) for where in ("body", ".item img")]
    assert colours["light"][0] == "rgb(255, 255, 255)"
    assert colours["dark"][0] != "rgb(255, 255, 255)"
    assert colours["light"][1] == colours["dark"][1] == "rgb(255, 255, 255)"


def test_claims_sort_by_number_or_verdict_by_a_click_or_a_key(opened):
    claims = json.loads((RECORD / "claims.json").read_text())
    rank = [*page_of_report.MARKS].index
    up, down = (
        [f"claim-{c['id']}" for c in sorted(claims, key=lambda claim: sign * rank(claim["verdict"]))]
        for sign in (1, -1)
    )
    page = opened()
    assert page.locator("#claims-table th button").all_inner_texts()[:2] == ["#", "Verdict"]
    assert page.locator("#claims-table th", has_text="Ours").get_by_role("button").count() == 0, "units differ"
    head = page.locator("#claims-table th[data-sort=verdict]")
    head.get_by_role("button").click()
    assert shown(page) == up
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert shown(page) == down
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#claims-table th[data-sort=order]").get_by_role("button").click()
    assert shown(page) == [f"claim-{c['id']}" for c in claims]
    assert page.locator("#claims-table th[aria-sort]").count() == 1


def test_claims_are_filtered_by_verdict_and_a_link_shows_a_hidden_one(opened):
    claims = json.loads((RECORD / "claims.json").read_text())
    page = opened()
    form = page.locator("form[data-table=claims-table]")
    for verdict in page_of_report.MARKS:
        if verdict != PRECONDITION:
            form.locator(f"input[value='{verdict}']").uncheck()
    left = [f"claim-{c['id']}" for c in claims if c["verdict"] == PRECONDITION]
    assert left
    assert shown(page) == left
    assert form.locator("output").text_content() == f"{len(left)} of {len(claims)} shown"
    others = len(json.loads((RECORD / "followups.json").read_text()))
    assert len(shown(page, "#followups-table")) == others, "the other table has a filter of its own"
    hidden = next(f"claim-{c['id']}" for c in claims if c["verdict"] == "reproduced")
    page.evaluate(f"location.hash = '{hidden}'")
    page.locator(f"#{hidden}").wait_for()


def test_two_clicks_lead_from_a_claim_to_its_figure_and_to_its_numbers(opened, report):
    page = opened()
    claim = page.locator("#claim-1")
    claim.locator("summary").click()
    csv = claim.locator("a", has_text="fig1_accuracy.csv")
    assert csv.is_visible()
    assert (report.parent / csv.get_attribute("href")).is_file()
    claim.get_by_role("link", name="Figure of claim 1").click()
    page.wait_for_function("document.getElementById('fig1_accuracy').getBoundingClientRect().top < 100")
    # Files of the run that made the record lie elsewhere; those beside the page are linked.
    jobs = page.locator("#jobs a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert jobs
    assert all((report.parent / link).is_file() for link in jobs)


def test_on_a_phone_each_verdict_is_next_to_its_number_and_figures_are_folded(opened):
    page = opened(viewport=PHONE)
    for claim in page.locator(".claims tbody").all():
        number, badge = claim.locator(".main > .n").bounding_box(), claim.locator(".main > .v .badge").bounding_box()
        assert badge["x"] > number["x"]
        assert badge["x"] + badge["width"] < PHONE["width"]
        assert abs(badge["y"] - number["y"]) < 10
        assert badge["height"] < 40, "on one line"
    assert page.locator("details.item[open]").count() == 0
    page.locator(".story a.picture").first.click()
    assert page.locator("details.item[open]").count() == 1
    page.locator("details.item[open] img").wait_for()


def lines(page):
    return page.locator("#view-fig1_accuracy .mark-line path").count()


def test_training_curves_can_be_picked_and_read(opened):
    page = opened()
    page.locator("#fig1_accuracy .moving summary").click()
    view = page.locator("#view-fig1_accuracy")
    view.locator(".mark-line path").first.wait_for()
    everyone = lines(page)
    view.get_by_role("combobox", name="norm").select_option("no norm")
    page.wait_for_function(
        "count => document.querySelectorAll('#view-fig1_accuracy .mark-line path').length < count", arg=everyone
    )
    view.get_by_role("combobox", name="seed").select_option("0")
    page.wait_for_function("document.querySelectorAll('#view-fig1_accuracy .mark-line path').length === 2")
    view.locator(".mark-symbol path[aria-label*='no norm']").last.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "no norm" in tip.inner_text()
    assert "accuracy" in tip.inner_text()


def test_one_can_move_along_the_step_of_fig_4(opened):
    page = opened()
    page.locator("#fig4_divergence_heatmap .moving summary").click()
    deepest = "#view-fig4_divergence_heatmap .mark-symbol path[aria-label*='layer 80']"
    points = page.locator(deepest)
    points.first.wait_for()
    heights = "paths => paths.map(path => path.transform.baseVal.consolidate().matrix.f)"
    end = points.evaluate_all(heights)
    slider = page.locator("#view-fig4_divergence_heatmap input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    moved = "(path, i) => path.transform.baseVal.consolidate().matrix.f !== end[i]"
    page.wait_for_function(f'end => [...document.querySelectorAll("{deepest}")].some({moved})', arg=end)
    start = points.evaluate_all(heights)
    assert len(start) == len(end) > 0
    assert min(start) > min(end), "the largest channel mean of the network without norm grows along the step"
