"""The documentation in a browser: links lead somewhere, nothing is cut off, the search finds what people look for."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urldefrag

import pytest
from playwright.sync_api import Browser, Page

from tests.site.browsing import WIDTHS, browser, served

#: Absolute: each test works in a directory of its own.
SITE: Final = Path(os.environ.get("KAMIWAZA_TEST_SITE", "docs/_build/html")).resolve()
PAGES: Final = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))
#: What is wider than the window, and neither scrolls nor is inside of what scrolls.
OVERFLOWING: Final = """() => {
  const width = document.documentElement.clientWidth, found = []
  for (const element of document.querySelectorAll('article *')) {
    const box = element.getBoundingClientRect()
    if (box.width === 0 || box.right <= width + 1) continue
    let around = element
    while (around && !['auto', 'scroll'].includes(getComputedStyle(around).overflowX)) around = around.parentElement
    if (!around) found.push(element.tagName + ' ' + element.textContent.slice(0, 60))
  }
  return found
}"""

pytestmark = pytest.mark.skipif(not PAGES, reason=f"{SITE} is not built: nox -s browser builds it")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with served(SITE) as url:
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(page: Page, site: str, name: str) -> None:
    """No error on the console, no link to what is not there, nothing cut off on a phone or a desktop."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{site}/{name}")
    assert said == []
    links: list[str] = page.eval_on_selector_all("a[href]", "found => found.map(link => link.href)")
    own = {urldefrag(link) for link in links if link.startswith(site)}
    assert [url for url, _ in own if not (SITE / url.removeprefix(f"{site}/")).is_file()] == []
    here = [fragment for url, fragment in own if fragment and url == f"{site}/{name}"]
    assert [fragment for fragment in here if page.query_selector(f'[id="{fragment}"]') is None] == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize("word", ["cache", "prune", "CLI", "Docker", "FAQ", "FastAPI", "onnxruntime", "pickle"])
def test_the_search_finds_what_people_look_for(page: Page, site: str, word: str) -> None:
    page.goto(f"{site}/search.html?q={word}")
    page.wait_for_selector("#search-results ul.search li a", timeout=20_000)
    assert page.query_selector_all("#search-results ul.search li a")
