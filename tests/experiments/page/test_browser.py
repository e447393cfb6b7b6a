"""The page, opened from a file and used in Chromium."""

import dataclasses
import shutil

import pytest

from experiments.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

LINES = ".chart >> nth=0 >> g.line"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, make, tmp_path):
    """Opens content as a page; at the end nothing was logged and nothing else was asked for."""
    complaints, requests, contexts = [], [], []

    def open_page(content=None, **options):
        path = tmp_path / "report.html"
        write_page(path, content or make())
        contexts.append(browser.new_context(viewport={"width": 1200, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(3000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests
    assert all(url.startswith(("file://", "data:image/", "blob:")) for url in requests)


def plot(page):
    return page.locator(".plot").first


def ticks(page):
    return plot(page).locator(".tick-x").all_text_contents()


def hover(page, share=0.5):
    box = plot(page).bounding_box()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.4 * box["height"])


def column(page, i, table=0):
    rows = page.locator("div.table").nth(table).locator("tbody tr:visible")
    return rows.evaluate_all("(rows, i) => rows.map((row) => row.cells[i].innerText)", i)


def test_the_axis_is_switched(opened):
    page = opened()
    assert plot(page).locator(".x-label").text_content() == "evaluations"
    page.get_by_role("button", name="forward passes").click()
    assert plot(page).locator(".x-label").text_content() == "forward passes"
    focus = page.evaluate("document.activeElement.textContent")
    assert focus == "forward passes"


def test_scales_are_switched(opened):
    page = opened()
    before = plot(page).locator(".tick-y").all_text_contents()
    page.get_by_role("button", name="log y").first.click()
    assert plot(page).locator(".tick-y").all_text_contents() != before
    assert "0" in plot(page).locator(".tick-y").all_text_contents()


def test_methods_are_hidden_everywhere_and_shown_again(opened):
    page = opened()
    assert page.locator("g.line").count() == 6
    page.locator(".entry", has_text="cma").first.click()
    assert page.locator("g.line").count() == 4
    assert page.locator("g.line[data-method='1']").count() == 0
    page.locator("tbody tr", has_text="pso").first.click()
    assert page.locator(LINES).count() == 1
    page.locator(".all:visible").first.click()
    assert page.locator("g.line").count() == 6
    entry = page.locator(".entry", has_text="cma").first
    entry.click(modifiers=["Shift"])
    assert page.locator(LINES).evaluate_all("all => all.map((g) => g.dataset.method)") == ["1"]
    entry.click(modifiers=["Shift"])
    assert page.locator(LINES).count() == 3
    for name in ("adam", "cma", "pso"):
        page.locator(".entry", has_text=name).first.click()
    assert page.locator(".remark").first.inner_text() == "All methods are hidden."


def test_hovering_shows_the_values_in_order(opened):
    page = opened()
    hover(page)
    page.wait_for_selector(".tip:visible")
    assert page.locator(".tip .label:visible").all_text_contents() == ["adam", "cma", "pso"]
    adam, cma, pso = map(float, page.locator(".tip .value:visible").all_text_contents())
    # Methods are powers of ten apart; adam's value is 1 / evaluations on a grid near here.
    assert (cma / adam, pso / cma) == (pytest.approx(10, rel=0.01), pytest.approx(10, rel=0.01))
    spent = float(page.locator(".tip .where:visible").text_content().split()[0].replace(",", ""))
    assert 1 / spent <= adam <= 1.4 / spent
    page.mouse.move(5, 5)
    assert not page.locator(".tip").first.is_visible()


def test_wheel_and_box_zoom_and_double_click_resets(opened):
    page = opened()
    plot(page).scroll_into_view_if_needed()
    page.wait_for_timeout(350)  # a page that has just scrolled keeps the wheel
    before, reset = ticks(page), page.locator(".reset").first
    assert not reset.is_visible()
    hover(page)
    for _ in range(4):
        page.mouse.wheel(0, -300)
    reset.wait_for()
    assert ticks(page) != before
    hover(page)
    page.mouse.dblclick(*centre(page))
    assert ticks(page) == before
    x, y = centre(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 60, steps=3)
    assert plot(page).locator(".box").get_attribute("visibility") == "visible"
    page.mouse.up()
    assert ticks(page) != before
    reset.click()
    assert ticks(page) == before


def centre(page):
    box = plot(page).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_keys_read_zoom_and_reset(opened):
    page = opened()
    before = ticks(page)
    plot(page).focus()
    page.keyboard.press("ArrowRight")
    assert "adam" in page.locator(".spoken").first.text_content()
    for _ in range(4):
        page.keyboard.press("+")
    zoomed = ticks(page)
    assert zoomed != before
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    assert ticks(page) != zoomed
    page.keyboard.press("Escape")
    assert ticks(page) == before


def test_problems_are_searched_and_walked_through(opened, make):
    page = opened(make(problems=[f"sphere{i}" for i in range(12)]))
    search = page.get_by_label("Search problems")
    search.fill("sphe 1")
    names = page.locator("[role=option]:visible").all_text_contents()
    assert names == ["sphere1", "sphere10", "sphere11"]
    search.press("ArrowDown")
    chosen = page.locator("[aria-selected=true]")
    assert chosen.text_content() == "sphere1"
    assert page.locator(".about").first.text_content() == "about sphere1"
    page.locator("[role=option]", has_text="sphere11").click()
    page.keyboard.press("ArrowUp")
    assert chosen.text_content() == "sphere10"
    assert set(column(page, 0)) == {"sphere10"}  # the table follows
    page.get_by_label("Search the table").fill("pso sphere3")
    assert column(page, 0) == ["sphere3"]
    page.locator(".link:visible").first.click()
    assert chosen.text_content() == "sphere3"


def test_tables_are_sorted_with_the_failed_last(opened):
    page = opened()
    head = page.locator("th", has_text="median").locator("button")
    head.click()
    assert column(page, 2) == ["−3", "0.25", "5", "12", "failed", "–"]
    assert page.locator("[aria-sort=ascending]").count() == 1
    head.click()
    assert column(page, 2)[:4] == ["12", "5", "0.25", "−3"]
    assert set(column(page, 2)[4:]) == {"failed", "–"}
    page.locator("th", has_text="method").first.locator("button").click()
    assert column(page, 1)[::2] == ["adam", "cma", "pso"]


def test_tables_are_taken_away_as_csv(opened, make):
    page = opened(make(("=1+1", 'a "b", c'), ("one", "two")))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").first.click()
    assert waiting.value.suggested_filename == "results.csv"
    lines = waiting.value.path().read_bytes().decode().split("\r\n")
    assert lines[:3] == [
        "problem,method,median,quartiles",
        "one,'=1+1,5.0,1 – 2",
        'one,"a ""b"", c",failed,1 – 2',
    ]


def test_zeros_have_a_place_on_a_logarithmic_axis(opened, make):
    page = opened(make(zero=True))
    assert "Some values are 0" in page.locator(".remark").first.inner_text()
    assert plot(page).locator(".tick-y").first.text_content() == "0"
    assert "NaN" not in plot(page).inner_html()


HOSTILE = [
    "</script><script>window.__pwned = 1</script>",
    "<img src=x onerror='window.__pwned = 1'>",
    "<!--<script>\u2028 {{script}}",
    "\"'><svg onload='window.__pwned = 1'>",
]


def test_hostile_labels_are_shown_and_inert(opened, make):
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' onload='top.__pwned = 1'>"
        "<script>top.__pwned = 1</script></svg>"
    )
    content = make(HOSTILE, HOSTILE[:2])
    figures = [dataclasses.replace(content.figures[0], svg=svg)]
    page = opened(dataclasses.replace(content, title=HOSTILE[0], figures=figures))
    hover(page)
    page.locator(".entry").first.click()
    page.locator(".link").last.click()
    page.locator("th .sort").first.click()
    assert page.evaluate("typeof window.__pwned") == "undefined"
    assert page.locator("h1").text_content() == HOSTILE[0]
    assert set(page.locator(".entry .label").all_text_contents()) == set(HOSTILE)
    assert page.locator("img").count() == 1  # the figure


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_scroll_sideways(opened, make, scheme):
    page = opened(make(("x" * 80, "cma:" + "option=1:" * 9, "c")), color_scheme=scheme)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert plot(page).bounding_box()["width"] > 330
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == {"light": "rgb(26, 31, 36)", "dark": "rgb(232, 235, 238)"}[scheme]


def test_touch_reads_values(opened):
    page = opened(has_touch=True)
    plot(page).scroll_into_view_if_needed()
    page.touchscreen.tap(*centre(page))
    assert page.locator(".tip").first.is_visible()


def test_without_a_script_the_tables_are_there(opened):
    page = opened(java_script_enabled=False)
    assert column(page, 2)[:3] == ["5", "failed", "0.25"]
    assert page.locator("noscript").first.inner_text().startswith("This chart needs JavaScript")
