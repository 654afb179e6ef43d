"""What `sgw top` reckons of what it finds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from gateway.cli.top.document import document_of
from gateway.cli.top.growth import growth, quantile
from gateway.cli.top.keyboard import DOWN, PAGE_UP, UP, keys_of
from gateway.cli.top.live import pressed
from gateway.cli.top.order import BY_NAME, Order
from gateway.cli.top.page import Page, page_of
from gateway.cli.top.picture import Look, Picture, SessionRow, picture
from gateway.cli.top.screen import fitted, whole
from gateway.cli.top.source import metrics_named, url_of
from gateway.cli.top.units import latency, rate, size, span
from gateway.cli.top.view import View
from sessiongateway import SessionInfo

INFINITY = float("inf")
WALL = 1_000_000.0
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def page(at: float, numbers: Mapping[str, float], starts: Mapping[str, float] | None = None) -> Page:
    """A page with these series, of processes that began then."""
    begun = {"": WALL - 100} if starts is None else starts
    lines = [f'process_start_time_seconds{{process="{process}"}} {start}' for process, start in begun.items()]
    if starts is None:
        lines = [f"process_start_time_seconds {WALL - 100}"]
    return page_of("\n".join([*lines, *(f"{name} {value}" for name, value in numbers.items())]) + "\n", at, WALL + at)


def calls(process: str, code: str = "OK") -> str:
    return f'sgw_calls_total{{app="kv",code="{code}",phase="worker",process="{process}"}}'


def test_a_rate_is_the_growth_over_the_time_between_two_pages() -> None:
    grown = growth(page(0, {"sgw_calls_total": 10}), page(4, {"sgw_calls_total": 30}))
    assert grown.rate("sgw_calls_total") == 5


def test_after_one_page_no_rate_is_known() -> None:
    assert growth(None, page(0, {"sgw_calls_total": 10})).rate("sgw_calls_total") is None


def test_a_series_that_is_new_has_grown_from_zero() -> None:
    grown = growth(page(0, {}), page(2, {"sgw_calls_total": 6}))
    assert grown.rate("sgw_calls_total") == 3


def test_a_process_that_was_started_again_counts_from_zero_also_when_it_has_overtaken_the_old_one() -> None:
    before = page(0, {calls("0"): 100, calls("1"): 50}, {"0": WALL - 9, "1": WALL - 9})
    now = page(1, {calls("0"): 120, calls("1"): 70}, {"0": WALL - 9, "1": WALL + 0.5})
    grown = growth(before, now)
    assert grown.rate("sgw_calls_total", process="0") == 20
    assert grown.rate("sgw_calls_total", process="1") == 70


def test_what_a_process_has_counted_that_was_only_not_asked_in_time_is_not_of_this_interval() -> None:
    before = page(0, {calls("0"): 100}, {"0": WALL - 9})
    now = page(1, {calls("0"): 110, calls("1"): 5000}, {"0": WALL - 9, "1": WALL - 9})
    assert growth(before, now).rate("sgw_calls_total") == 10


def test_a_new_process_counts_from_zero() -> None:
    before = page(0, {calls("0"): 100}, {"0": WALL - 9})
    now = page(1, {calls("0"): 110, calls("1"): 5}, {"0": WALL - 9, "1": WALL + 0.5})
    assert growth(before, now).rate("sgw_calls_total") == 15


def test_a_counter_that_fell_began_anew() -> None:
    assert growth(page(0, {"sgw_calls_total": 10}), page(1, {"sgw_calls_total": 4})).rate("sgw_calls_total") == 4


@pytest.mark.parametrize(
    ("rank", "buckets", "expected"),
    [
        (0.5, {1.0: 0, 2.0: 10, INFINITY: 10}, 1.5),
        (0.99, {1.0: 100, INFINITY: 100}, 0.99),
        (0.5, {1.0: 0, 2.0: 0, INFINITY: 4}, 2.0),
        (0.5, {1.0: 0, INFINITY: 0}, None),
        (0.5, {}, None),
        (0.0, {1.0: 0, 2.0: 5, INFINITY: 5}, 1.0),
    ],
)
def test_a_quantile_is_even_within_a_bucket_and_ends_at_the_last_bound(
    rank: float, buckets: Mapping[float, float], expected: float | None
) -> None:
    assert quantile(rank, buckets) == expected


def test_quantiles_are_of_the_calls_of_the_interval_and_of_all_processes_together() -> None:
    def bucket(process: str, bound: str) -> str:
        return f'sgw_call_duration_seconds_bucket{{app="kv",phase="worker",process="{process}",le="{bound}"}}'

    starts = {"0": WALL - 9, "1": WALL - 9}
    before = page(0, {bucket(each, le): 1000 for each in "01" for le in ("1.0", "2.0", "+Inf")}, starts)
    after = {bucket("0", "1.0"): 1000, bucket("0", "2.0"): 1001, bucket("0", "+Inf"): 1001}
    after |= {bucket("1", "1.0"): 1000, bucket("1", "2.0"): 1003, bucket("1", "+Inf"): 1003}
    grown = growth(before, page(1, after, starts))
    assert grown.quantiles("sgw_call_duration_seconds", [0.5], app="kv", phase="worker") == [1.5]
    assert grown.quantiles("sgw_call_duration_seconds", [0.5], app="kv", phase="queue") == [None]


def test_what_is_no_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="no page"):
        page_of("<html>", 0, 0)


def session(number: int, calls: int, *, app: str = "kv", idle: float = 1.0) -> SessionInfo:
    return SessionInfo(
        id=f"sess_{number:026}",
        app=app,
        version="1",
        status="active",
        worker_id=f"wrk_{number}",
        session_timeout=60,
        created_at=NOW - timedelta(seconds=100),
        expires_at=NOW + timedelta(seconds=60 - idle),
        expires_in=timedelta(seconds=60 - idle),
        last_call_at=NOW - timedelta(seconds=idle),
        ended_at=None,
        call_count=calls,
        end_reason=None,
        worker_exit=None,
    )


def drawn(shown: Picture, width: int, height: int, **options: object) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(fitted(shown, View("127.0.0.1:1", None, **options), width, height))  # type: ignore[arg-type]
    return capture.get().splitlines()


def test_sessions_have_their_rates_age_and_memory() -> None:
    before = Look(0.0, [session(1, 10)])
    now = Look(2.0, [session(1, 30), session(2, 1)], memory={"wrk_1": 5_000_000})
    first, second = picture(before, now).sessions
    assert (first.rate, first.age, first.idle, first.left, first.memory) == (10.0, 100.0, 1.0, 59.0, 5_000_000)
    assert (second.rate, second.memory) == (None, None)


def test_an_app_that_others_have_sessions_of_is_there_with_what_the_page_says() -> None:
    numbers = {
        'sgw_app_sessions{app="kv",state="busy"}': 2.0,
        'sgw_app_sessions{app="kv",state="idle"}': 3.0,
        'sgw_app_workers{app="kv",state="idle"}': 4.0,
        'sgw_app_worker_waiters{app="kv"}': 1.0,
        "sgw_workers_limit": 8.0,
        "sgw_sessions": 5.0,
    }
    ended = {"OK": 6.0, "APP_ERROR": 2.0, "CANCELLED": 9.0}
    later = {f'sgw_calls_total{{app="kv",code="{code}",phase="worker"}}': count for code, count in ended.items()}
    shown = picture(Look(0.0, page=page(0, numbers)), Look(1.0, page=page(1, numbers | later)))
    (row,) = shown.apps
    assert (row.name, row.sessions, row.busy, row.warm, row.waiting) == ("kv", 5, 2, 4, 1)
    assert (row.calls, row.errors) == (17.0, 2.0)
    assert (shown.head.calls, shown.head.errors) == (17.0, 2.0)
    assert any("5 of other callers" in line for line in drawn(shown, 80, 24))


def test_without_metrics_there_are_sessions_and_apps_and_word_of_what_is_missing() -> None:
    shown = picture(None, Look(0.0, [session(1, 1)], notes=["turn them on"]))
    assert [(row.name, row.sessions, row.calls) for row in shown.apps] == [("kv", 1, None)]
    text = drawn(shown, 80, 24)
    assert any("turn them on" in line for line in text)
    assert document_of(shown, "here", BY_NAME["rate"])["gateway"]["calls"] is None


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (60, 10), (40, 10)])
def test_the_picture_fits_whatever_the_size_and_keys_are_in_the_last_line(width: int, height: int) -> None:
    sessions = [session(number, number, app="a-long/name-of-an-app" * 2) for number in range(100)]
    shown = picture(Look(0.0, sessions), Look(1.0, sessions))
    lines = drawn(shown, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("q quit")


def under_load(sessions: int, apps: int) -> Picture:
    """What there is to be seen of a gateway with a metrics port, after an interval."""
    numbers: dict[str, float] = {"sgw_workers_limit": 8.0, "sgw_sessions": sessions}
    numbers |= {f'sgw_app_workers{{app="app-{number}",state="idle"}}': 1.0 for number in range(apps)}
    before, now = ([session(number, calls) for number in range(sessions)] for calls in (1, 9))
    return picture(Look(0.0, before, page=page(0, numbers)), Look(1.0, now, page=page(1, numbers)))


@pytest.mark.parametrize("width", [90, 50])
@pytest.mark.parametrize("apps", [1, 2])
def test_where_there_is_no_room_for_sessions_it_says_so_and_not_that_there_are_none(width: int, apps: int) -> None:
    lines = drawn(under_load(8, apps), width, 10)
    assert len(lines) == 10
    assert not any("no sessions" in line for line in lines)
    assert "8 sessions: no room" in [line.strip() for line in lines]
    assert lines[-1].startswith("q quit")


@pytest.mark.parametrize("height", range(1, 20))
def test_no_height_is_too_small_and_sessions_are_shown_or_counted_where_there_is_a_line(height: int) -> None:
    lines = drawn(under_load(8, 2), 90, height)
    assert len(lines) == height
    text = "\n".join(lines)
    assert "no sessions" not in text
    assert ("sess_" in text or "8 sessions: no room" in text) == (height > 5)


def test_sessions_that_fit_to_the_line_are_all_shown() -> None:
    lines = drawn(under_load(3, 1), 90, 13)
    assert sum(line.startswith("sess_") for line in lines) == 3
    assert len(lines) == 13


@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 70, 80, 90])
@pytest.mark.parametrize("order", BY_NAME.values(), ids=BY_NAME)
def test_columns_are_left_out_and_no_heading_is_cut(width: int, order: Order) -> None:
    lines = drawn(under_load(2, 2), width, 24, order=order)
    headings = [line.split() for line in lines if line.startswith(("app ", "session "))]
    known = {"app", "sess", "busy", "warm", "wait", "calls/s", "err/s", "queue99", "work50", "work99"}
    known |= {"session", "app", "age", "idle", "left", "calls", "/s", "memory"}
    assert len(headings) == 2
    assert set().union(*headings) <= known
    assert headings[0][:2] == ["app", "sess"] if width >= 30 else ["app", "calls/s"]
    assert {"rate": "/s"}.get(order.name, order.name) in headings[1]
    assert max(map(len, lines)) <= width


def test_without_metrics_the_calls_are_those_of_the_sessions_and_marked_as_such() -> None:
    shown = picture(Look(0.0, [session(1, 10), session(2, 1)]), Look(2.0, [session(1, 30), session(2, 4)]))
    assert shown.session_calls == 11.5
    assert any(line.startswith("calls in these sessions 11.5/s  errors –/s") for line in drawn(shown, 80, 24))


def test_before_any_rate_is_known_that_of_the_sessions_is_not_either_and_with_metrics_it_is_the_gateways() -> None:
    assert any(line.startswith("calls –/s") for line in drawn(picture(None, Look(0.0, [session(1, 10)])), 80, 24))
    assert any(line.startswith("calls ·/s") for line in drawn(under_load(8, 1), 80, 24))


def test_all_of_it_is_drawn_where_nothing_is_redrawn() -> None:
    shown = picture(None, Look(0.0, [session(number, 1) for number in range(100)]))
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(whole(shown, View("127.0.0.1:1", None, keys=False), 80))
    assert capture.get().count("sess_") == 100


@pytest.mark.parametrize(
    ("name", "expected"), [("rate", "cab"), ("calls", "bac"), ("memory", "acb"), ("idle", "abc"), ("left", "abc")]
)
def test_sessions_are_sorted_by_what_is_asked_for_and_what_is_not_known_comes_last(name: str, expected: str) -> None:
    def row(id: str, calls: int, speed: float | None, memory: int | None, idle: float) -> SessionRow:
        return SessionRow(id, "kv", "1", 1.0, idle, 60 - idle, calls, speed, memory, "wrk")

    rows = [row("a", 2, 1.0, 3, 9.0), row("b", 3, None, None, 8.0), row("c", 1, 5.0, 2, 7.0)]
    assert "".join(each.id for each in BY_NAME[name].sort(rows)) == expected


def test_keys_sort_and_scroll_and_no_further_than_there_are_sessions() -> None:
    view = View("here", None)
    assert pressed("m", view, 5).order.name == "memory"
    assert pressed(UP, view, 5).first == 0
    assert pressed(PAGE_UP, pressed(DOWN, view, 5), 5).first == 0
    for _ in range(9):
        view = pressed("j", view, 5)
    assert view.first == 4
    assert pressed("c", view, 5).first == 0


def test_keys_are_told_apart_and_unknown_sequences_are_none() -> None:
    assert list(keys_of(b"q\x1b[A\x1b[6~x")) == ["q", "up", "page down", "x"]
    assert list(keys_of(b"\x1b[1;5D")) == []


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (":9464", "http://127.0.0.1:9464/metrics"),
        ("10.0.0.1:9", "http://10.0.0.1:9/metrics"),
        ("0.0.0.0:9", "http://gateway.example:9/metrics"),
        ("127.0.0.1:0", None),
        (None, None),
    ],
)
def test_the_url_of_a_metrics_port_is_where_it_can_be_reached(address: str | None, url: str | None) -> None:
    assert url_of(address, "gateway.example") == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (":9467", "http://gateway.example:9467/metrics"),
        ("10.0.0.1:9467", "http://10.0.0.1:9467/metrics"),
        ("[::1]:9467", "http://[::1]:9467/metrics"),
        ("0.0.0.0:9467", "http://gateway.example:9467/metrics"),
        ("http://proxy.example/gateway/metrics", "http://proxy.example/gateway/metrics"),
        ("https://proxy.example/metrics", "https://proxy.example/metrics"),
    ],
)
def test_a_metrics_port_is_named_as_the_gateway_takes_it_or_by_a_url(text: str, url: str) -> None:
    assert metrics_named(text, "dns:///gateway.example:50151").url == url


@pytest.mark.parametrize("text", ["9467", ":", ":0", ":65536", "host:", ":x", "file:///etc/passwd", "host:1/metrics"])
def test_what_names_no_metrics_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT, :PORT or a URL"):
        metrics_named(text, "127.0.0.1:50151")


def test_numbers_are_short() -> None:
    assert [latency(value) for value in (None, 0.0000094, 0.000999, 0.0009996, 0.02, 9.94, 300)] == [
        "–",
        "9.4 µs",
        "999 µs",
        "1.0 ms",
        "20 ms",
        "9.9 s",
        "300 s",
    ]
    assert [rate(value) for value in (None, 0, 0.01, 1.26, 1234.5)] == ["–", "·", "<0.1", "1.3", "1,234"]
    assert [span(value) for value in (5, 90, 7300, 300_000)] == ["5 s", "2 min", "2 h", "3 d"]
    assert [size(value) for value in (None, 33e6, 12e9)] == ["–", "33 MB", "12.0 GB"]
