"""The book on one page, and as a PDF."""

import re

import pytest

from neuroglot.book import printing

from .conftest import HTML
from .test_every_page import CHAPTERS, in_order


def pictures(text: str) -> int:
    """Of the charts, and of the explorer and the browser."""
    places = re.split(r'<div class="neuroglot-chart">|<div data-neuroglot=', text)[1:]
    return sum(len(re.findall(r"<svg[^>]* role=.img", place.partition("<script")[0])) for place in places)


def test_every_chapter_is_on_the_one_page_with_all_its_pictures(visit):
    page = visit("print.html").page
    page.emulate_media(media="print")
    assert CHAPTERS
    for name in CHAPTERS:
        place = name.removesuffix(".html").replace("/", "-")
        part = page.locator(f"section#{place}")
        source = (HTML / name).read_text(encoding="utf-8")
        title = re.search(r"<h1>(.*?)<a", source)[1]
        assert part.locator("h1").is_visible() and part.locator("h1").inner_text() == title
        shown = part.locator(":is(div.neuroglot-chart, div[data-neuroglot]) > svg[role=img][aria-label]")
        assert shown.count() == pictures(source) and all(one.is_visible() for one in shown.all())
        assert part.locator(".cell_input, script").count() == 0
        assert part.locator(".neuroglot-map img").count() == source.count('<figure class="neuroglot-map"')
        assert page.locator(f"nav a[href='#{place}']").count() == 1


def test_the_one_page_has_everything_in_order_and_leads_nowhere_else(visit):
    page = visit("print.html").page
    parts = page.locator("section.neuroglot-part").evaluate_all("parts => parts.map(part => part.id)")
    assert parts == [name.removesuffix(".html").replace("/", "-") for name in in_order()]
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    hrefs = page.locator("a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert {href for href in hrefs if href.startswith("#")} <= {f"#{one}" for one in ids}
    assert all(href.startswith(("#", "https://", "http://", "mailto:")) for href in hrefs)
    inside = page.locator("svg *").evaluate_all(
        "all => all.map(one => one.getAttribute('xlink:href') ?? one.getAttribute('href')).filter(Boolean)"
    )
    assert all(href.startswith(("#", "data:")) for href in inside)
    page.wait_for_selector("mjx-container svg")


@pytest.mark.usefixtures("browser")
def test_the_pdf_has_pages(tmp_path):
    data = printing.pdf(HTML, tmp_path / "book.pdf").read_bytes()
    assert data.startswith(b"%PDF") and data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) > len(CHAPTERS)
