"""The page and the Markdown, read by a parser and shown by a real browser."""

from __future__ import annotations

import re
from datetime import UTC
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from intercom_mux.report.markdown import markdown
from intercom_mux.report.model import build
from intercom_mux.report.page import html
from tests.report.browser import PROGRAM, Browser
from tests.report.sources import HOSTILE, busy, message, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VOID = {"meta", "link"}
SECTIONS = ["talk", "conversation", "waits", "tasks", "time"]


class Checker(HTMLParser):
    """Holds that every element is closed in order, and keeps names and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_hostile_texts_stay_texts() -> None:
    """No element, attribute or link comes from what peers wrote, every element is closed, nothing is from elsewhere."""
    page = html(build(busy()), UTC)
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    assert not checker.tags & {"script", "img", "b", "iframe", "object", "form"}
    assert not {name for name in checker.attributes if name.startswith("on")}
    assert checker.attributes["href"] == {"#main", "data:,", *(f"#{key}" for key in SECTIONS)}
    assert not {"src", "srcset", "action", "xlink:href"} & checker.attributes.keys()
    assert not re.search(r"url\((?!#)", page)
    assert not re.search("[\u202e\u2066\x00\x1b\ud800]", page)


def test_a_long_text_is_shortened_and_says_so() -> None:
    """A text of a MiB takes a KiB of the page, and its length is told."""
    page = html(build(source([message(1, "a", "b", HOSTILE[6])])), UTC)
    assert "… (1,048,576 characters)" in page
    assert len(page) < 20_000


def test_waits_and_outcomes_are_told() -> None:
    """The diagram says after how long a reply came, and what became of an ask without one."""
    page = html(build(busy()), UTC)
    assert "after 1.0 s" in page
    assert "reply to 3 after 1.0 s" in page
    assert "6 open, 1 expired" in page


def test_an_empty_team_has_a_page() -> None:
    """Each section says that there is nothing."""
    page = html(build(source([], peers=["a"])), UTC)
    assert page.count("No messages.") == 2
    assert "No tasks." in page


def test_markdown_holds_the_same_tables() -> None:
    """One row per message, each with as many cells as its head."""
    text = markdown(build(busy()), UTC)
    rows = [line for line in text.split("## Conversation")[1].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 176
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert "<" not in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    if PROGRAM is None:
        pytest.skip("no Chromium is installed: the page was not shown by a browser")
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it(browser: Browser, tmp_path: Path, width: int, is_dark: bool) -> None:
    """Without complaints, in the colours asked for, no wider than the window even with every part opened."""
    file = tmp_path / "report.html"
    file.write_text(html(build(busy()), UTC))
    browser.open(file, width=width, is_dark=is_dark)
    browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    light = browser.value("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0]
    assert (int(light) < 128) is is_dark
    assert browser.value("window.innerWidth") == width
    assert browser.complaints == []


def test_the_keyboard_reaches_every_section(browser: Browser, tmp_path: Path) -> None:
    """In their order on the page, the skip link first; every region that scrolls can be focused and has a name."""
    file = tmp_path / "report.html"
    file.write_text(html(build(busy()), UTC))
    browser.open(file, width=360)
    reached = []
    for _ in range(40):
        browser.press_tab()
        reached.append(browser.value("(document.activeElement.closest('section') || document.activeElement).id || ''"))
        if reached[-1] == SECTIONS[-1]:
            break
    assert list(dict.fromkeys(filter(None, reached))) == SECTIONS
    assert browser.value("document.querySelectorAll('.scroll:not([tabindex]), .scroll:not([aria-label])').length") == 0
    assert browser.value("document.querySelectorAll('svg:not([aria-label])').length") == 0
    landmarks = browser.value("[...document.querySelectorAll('header,nav,main,footer')].map(e => e.localName).join()")
    assert landmarks == "header,nav,main,footer"
