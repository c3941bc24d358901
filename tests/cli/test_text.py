"""Words in and out."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.broker.core.tasks import STATES as TASK_STATES
from intercom_mux.cli import text

anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("written", "seconds"), [("30", 30), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("0.25", 0.25), ("168h", 604_800)]
)
def test_a_duration_is_a_number_with_a_unit(written: str, seconds: float) -> None:
    """Seconds unless said otherwise."""
    assert text.duration(written) == seconds


@pytest.mark.parametrize("written", ["", "s", "0", "-1", "1e3", "nan", "1_0", "٣", ".", "1..2", "169h", "1 m", "1d"])
def test_what_is_no_duration_is_none(written: str) -> None:
    """Nothing is guessed, and nothing goes beyond the week that the broker keeps an ask."""
    assert text.duration(written) is None


@anywhere
@given(st.text())
def test_any_text_is_a_duration_or_none(written: str) -> None:
    """Parsing never fails, and its value is in range."""
    seconds = text.duration(written)
    assert seconds is None or 0 < seconds <= text.DURATION_MAX_S


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (172_800, "2d")])
def test_a_span_has_its_largest_whole_unit(seconds: float, shown: str) -> None:
    """Rounded down."""
    assert text.span(seconds) == shown


def test_a_table_is_aligned_and_has_no_trailing_blanks() -> None:
    """Wide characters count twice, a line break in a cell is a blank."""
    assert text.table([("名前", "x"), ("n", "two\nlines"), ("abcdef", "")]) == "名前    x\nn       two lines\nabcdef"


def test_a_table_is_cut_only_to_a_width() -> None:
    """On a terminal a long line ends in an ellipsis; without a width nothing is lost."""
    rows = [("a", "long text"), ("b", "x")]
    assert text.table(rows, columns=8) == "a  long…\nb  x"
    assert "long text" in text.table(rows)


def test_a_path_at_the_end_of_a_line_loses_its_beginning() -> None:
    """Which is the same in most rows, while its end tells them apart."""
    rows = [("a", "/srv/long/way/to/app"), ("b", "/srv/x")]
    assert text.table(rows, columns=16, ends_in_path=True) == "a  …g/way/to/app\nb  /srv/x"
    assert text.table(rows, columns=8, ends_in_path=True) == "a  /srv…\nb  /srv…"


def test_a_last_cell_goes_on_below_itself() -> None:
    """Where there is room for it, and only where it must."""
    rows = [("a", "one two three four five six"), ("b", "x")]
    wrapped = text.table(rows, columns=24, is_last_wrapped=True)
    assert wrapped == "a  one two three four\n   five six\nb  x"
    assert text.table(rows, is_last_wrapped=True) == "a  one two three four five six\nb  x"


def test_what_hangs_goes_on_below_itself_in_whole_words() -> None:
    """A path that is too long is left to the terminal; where there is no room, or no terminal, all is one line."""
    path = "/a/very-long/path-of-a/project"
    assert text.hanging("ok  ", f"look at {path} again", 25) == f"ok  look at\n    {path}\n    again"
    for columns in (None, 0, 23):
        assert text.hanging("ok  ", f"look at {path} again", columns) == f"ok  look at {path} again"
    assert text.hanging("ok  ", "", 25) == "ok  "


@anywhere
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1), st.integers(4, 30))
def test_no_line_of_a_table_is_wider_than_asked(rows: list[tuple[str, str]], columns: int) -> None:
    """Whatever the cells hold."""
    for ends_in_path in (False, True):
        shown = text.table(rows, columns=columns, ends_in_path=ends_in_path)
        assert all(text.cells_of(line) <= columns for line in shown.split("\n"))


def test_control_characters_do_not_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another session wrote cannot move the cursor; in a pipe the text is unchanged."""
    for stream, expected in ((_Terminal(), "a\ufffd[2Jb\tc\n"), (io.StringIO(), "a\x1b[2Jb\tc\r\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        text.emit("a\x1b[2Jb\tc\r\n")
        assert stream.getvalue() == expected


def test_waiting_messages_are_told_to_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line on stderr, and none when nothing waits."""
    for stream, expected in (
        (_Terminal(), "1 message is waiting: intercom-mux inbox\n2 messages are waiting: intercom-mux inbox\n"),
        (io.StringIO(), ""),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        for count in (0, 1, 2):
            text.note_waiting(count)
        assert stream.getvalue() == expected


def test_a_fence_is_longer_than_any_in_the_attachment() -> None:
    """An attachment cannot end its own fence."""
    shown = text.reply("see", [{"type": "file", "name": "a.md", "content": "~~~\nx\n~~~~\n"}])
    assert shown == "see\n\nAttachment: a.md\n~~~~~\n~~~\nx\n~~~~\n~~~~~"


def test_pending_shows_both_directions() -> None:
    """To me with the one I am at marked; mine with how far it is."""
    ask = {"id": "7f3a1b2c99", "with": "planner", "text": "why\nso?", "age_s": 61, "left_s": 9, "state": "sent"}
    value = {
        "to_me": [{**ask, "is_active": True, "is_blocking": True}],
        "from_me": [{**ask, "is_active": False, "is_blocking": False}],
    }
    assert text.pending(value).splitlines() == [
        "asks to you:",
        "  7f3a1b2c  planner  1m  active  why so?",
        "asks of yours:",
        "  7f3a1b2c  planner  1m  delivered, ticket  why so?",
    ]


def test_tasks_of_several_teams_bear_their_team() -> None:
    """The ids of two teams may be the same; those of one team need no telling."""
    row = {"id": "T1", "percent": 0, "state": "started", "owner": "w", "title": "One", "note": "", "team": "b-1"}
    assert text.tasks([row]).splitlines()[1] == "T1    0%    started  w      One"
    both = text.tasks([row, {**row, "team": "a-1"}]).splitlines()
    assert [line.split()[:2] for line in both] == [["TEAM", "TASK"], ["a-1", "T1"], ["b-1", "T1"]]


def test_a_shown_id_tells_a_message_from_others() -> None:
    """Notices of the broker are numbered, so that their beginnings are all the same."""
    assert (text.short("7f3a1b2c99"), text.short("notice-81"), text.short("notice-82")) == (
        "7f3a1b2c",
        "notice-81",
        "notice-82",
    )


def test_task_states_are_those_of_the_broker() -> None:
    """The command line offers exactly what the broker takes."""
    assert text.TASK_STATES == TASK_STATES


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("idle", "delivered to d (idle)"),
        (None, "delivered to d"),
        ("reading the paper", "delivered to d (reading the paper)"),
        ("thinking", "sent to d (thinking); it will read it after its turn"),
        ("tool:bash", "sent to d (tool:bash); it will read it after its turn"),
        ("blocked:permission", "sent to d (blocked:permission); the message waits until somebody answers its dialog"),
        ("exited:137", "sent to d (exited:137); the message waits until it is started again"),
        ("starting", "sent to d (starting); it gets it when it is ready"),
        ("unknown", "sent to d (unknown); the message waits until it is seen to be idle, or reads its inbox"),
    ],
)
def test_sent_says_whether_the_message_is_held(status: str | None, shown: str) -> None:
    """An agent that is not idle is given nothing yet; what does not tell such a status has its message."""
    answer = {"delivery": "socket_delivered", "to": "d", "status": status, "messageId": "7f3a1b2c99"}
    assert text.sent(answer) == f"{shown} · 7f3a1b2c"


@pytest.mark.parametrize(
    ("state", "note", "shown"),
    [
        ("received", "blocked:permission", "received (blocked:permission), ticket"),
        ("received", "", "received, ticket"),
        ("done", "submitted", "taken up, ticket"),
        ("done", "outcome unknown: it is gone", "outcome unknown: it is gone, ticket"),
    ],
)
def test_pending_says_why_an_ask_of_mine_waits(state: str, note: str, shown: str) -> None:
    """With the last that was heard of it; one of unknown fate is not called taken up."""
    ask = {"id": "7f3a1b2c99", "with": "w", "text": "why?", "age_s": 1, "is_active": False, "is_blocking": False}
    value = {"to_me": [], "from_me": [{**ask, "state": state, "note": note}]}
    assert text.pending(value).splitlines()[1] == f"  7f3a1b2c  w  1s  {shown}  why?"
