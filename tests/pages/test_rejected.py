"""The page of dead letters and late trips: bytes as text, filters in the address, commands."""

import json
import re

import pytest
from playwright.sync_api import Route, expect

from tests.pages.conftest import Visit
from tests.pages.system import DEAD_LETTERS, HOSTILE, LATE_TRIPS, System

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

NOT_JSON = [value for _, value, reason in DEAD_LETTERS if reason == "not_json"]
HOSTILE_REASON = str(DEAD_LETTERS[-1][2])


def test_bytes_are_text(visit: Visit) -> None:
    """Never markup; what is not printable is escaped, and long values are cut."""
    tab = visit("/rejected")
    messages = tab.page.locator(".messages > li")
    expect(messages).to_have_count(len(DEAD_LETTERS))
    text = tab.page.locator(".messages").inner_text()
    for each in HOSTILE:
        assert each.replace("\\", "\\\\") in text
    assert "🚴\\u200d♀️ \\u202e\\x1b[31m\\x00\\xff" in text
    assert r"\xff\x00\x1b[31m" in text
    assert "300,012 bytes" in text
    assert "The first 1,024 bytes." in text
    assert "none" in text
    assert tab.page.locator(".messages img, .messages script, .messages svg").count() == 0


def test_reasons_are_filters_in_the_address(visit: Visit) -> None:
    """With counts; the way back leads to all of them."""
    tab = visit("/rejected")
    reasons = tab.page.get_by_role("region", name="Reasons")
    expect(reasons.get_by_role("link")).to_have_count(5)
    chosen = reasons.get_by_role("link", name="not_json")
    expect(chosen.locator("data")).to_have_attribute("value", str(len(NOT_JSON)))
    chosen.press("Enter")
    messages = tab.page.locator(".messages > li")
    expect(messages).to_have_count(len(NOT_JSON))
    assert tab.page.url.endswith("/rejected?reason=not_json")
    expect(reasons.get_by_role("link", name="not_json")).to_be_focused()
    expect(reasons.get_by_role("link", name="not_json")).to_have_attribute("aria-current", "true")
    tab.page.go_back()
    expect(messages).to_have_count(len(DEAD_LETTERS))
    reasons.get_by_role("link", name=HOSTILE_REASON).click()
    expect(messages).to_have_count(1)
    expect(tab.page.locator(".command code").nth(1)).to_be_visible()
    assert f"'--reason={HOSTILE_REASON}'" in tab.page.locator(".commands").inner_text()
    tab.open("/rejected?reason=no_such")
    expect(tab.page.get_by_text("None with this reason")).to_be_visible()


def test_late_trips(visit: Visit, system: System) -> None:
    """They have a tab, and the command that leads to a backfill."""
    tab = visit("/rejected")
    tab.page.get_by_role("link", name="Late trips").click()
    expect(tab.page.locator(".messages > li")).to_have_count(len(LATE_TRIPS))
    assert tab.page.url.endswith("/rejected?kind=late")
    topic = f"{system.settings.topic_prefix}trips_stream"
    expect(tab.page.locator(".messages > li").first).to_contain_text(f"{topic} 1:0")
    expect(tab.page.locator(".messages time").first).to_contain_text("UTC")
    expect(tab.page.locator(".commands .command code")).to_have_text("just late replay")
    expect(tab.page.get_by_role("region", name="Reasons")).to_have_count(0)


def test_the_pipeline_leads_here(visit: Visit) -> None:
    """From both boxes; a link keeps the keyboard while the boxes are drawn again."""
    tab = visit("/pipeline")
    link = tab.page.get_by_role("link", name="Show dead letters")
    link.focus()
    box = tab.page.locator("#box-dead").element_handle()
    tab.page.wait_for_function("(box) => !box.isConnected", arg=box)
    expect(link).to_be_focused()
    link.press("Enter")
    expect(tab.page.locator(".messages > li")).to_have_count(len(DEAD_LETTERS))
    tab.open("/pipeline")
    tab.page.get_by_role("link", name="Show late trips").click()
    expect(tab.page.locator(".messages > li")).to_have_count(len(LATE_TRIPS))


def test_older_messages(visit: Visit, system: System) -> None:
    """A button adds the next page, and the keyboard goes on with its first message."""
    first = system.get("/rejected/dead-letters", limit=5)
    rest = system.get("/rejected/dead-letters", cursor=first["next"])
    tab = visit("/pipeline")

    def answer(route: Route) -> None:
        body = rest if "cursor=" in route.request.url else first
        route.fulfill(body=json.dumps(body), content_type="application/json")

    tab.page.route(re.compile("/rejected/dead-letters"), answer)
    tab.open("/rejected")
    messages = tab.page.locator(".messages > li")
    expect(messages).to_have_count(5)
    tab.page.get_by_role("button", name="Older messages").click()
    expect(messages).to_have_count(len(DEAD_LETTERS))
    expect(messages.nth(5)).to_be_focused()
    expect(tab.page.get_by_role("button", name="Older messages")).to_have_count(0)


EMPTY = {
    "topic": "trips_dlq",
    "exists": True,
    "items": [],
    "reasons": {},
    "read": 0,
    "complete": True,
    "next": None,
    "commands": [],
}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (EMPTY, "Every message that was read so far is a valid trip."),
        (EMPTY | {"exists": False}, "There is no topic trips_dlq"),
        (EMPTY | {"read": 5_000, "complete": False, "next": "x"}, "None among the newest 5,000"),
    ],
)
def test_nothing_says_what_it_means(visit: Visit, answer: dict[str, object], text: str) -> None:
    """No dead letters, no topic, or none in what was read."""
    tab = visit("/pipeline")
    tab.page.route(
        re.compile("/rejected/dead-letters"),
        lambda route: route.fulfill(body=json.dumps(answer), content_type="application/json"),
    )
    tab.open("/rejected")
    expect(tab.page.locator(".state")).to_contain_text(text)


def test_kafka_that_is_away_is_said(visit: Visit) -> None:
    """With the words of the API, and the page can be read again."""
    tab = visit("/pipeline", expected="503")
    problem = {
        "type": "/problems/kafka-unavailable",
        "detail": "Kafka at h:1 is away",
        "title": "x",
    }
    tab.page.route(
        re.compile("/rejected/dead-letters"),
        lambda route: route.fulfill(
            status=503, body=json.dumps(problem), content_type="application/problem+json"
        ),
    )
    tab.open("/rejected")
    expect(tab.page.locator(".state")).to_contain_text("Kafka at h:1 is away")
    tab.page.unroute_all()
    tab.page.get_by_role("button", name="Read again").click()
    expect(tab.page.locator(".messages > li")).to_have_count(len(DEAD_LETTERS))
