"""The file of results, the table, the page and its charts."""

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from bench import page
from bench.charts import nice
from bench.figure import Series, figure
from bench.report import Results, quantity, rounded, show, sides, verdict
from tools.paths import ROOT

TEMPLATE = "# Page\n{{run}}\n{{figures}}\n{{left out}}\n{{charts}}\n"


def results() -> Results:
    return Results(
        kind="full",
        started_at="2026-01-02T03:04:05+00:00",
        machine={
            "processor": "Some CPU",
            "processors": 2,
            "memory_gb": 24.0,
            "load_average": 0.1,
            "system": "Linux 6",
        },
        versions={"grpcio": "1.83.2"},
        settings={"rounds": 3},
        remarks=["The machine was busy."],
        figures=[
            figure("calls_rate", [0.8, 0.7, 0.95], calls_per_s=8000.0, yardstick_calls_per_s=10000.0),
            figure("new_median", [7.123456]),
            figure("calls_rate_go", [0.1, 0.2]),
        ],
        series=[Series("apps", "Deployed apps", "apps", "calls/s", {"gateway": [(1.0, 900.0), (100.0, 850.0)]})],
        left_out={"streams": "there is no etcd"},
        seconds=12.34,
    )


def test_the_file_has_every_figure_with_its_yardstick_and_bounds(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    results().write(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {"kind", "started_at", "seconds", "machine", "versions", "settings", "figures"} <= written.keys()
    keys = {"name", "value", "unit", "yardstick", "must", "goal", "ok"}
    assert [keys - one.keys() for one in written["figures"]] == [set()] * 3
    first, second, third = written["figures"]
    assert [first[key] for key in ("name", "value", "unit", "must", "goal", "ok")] == [
        *("calls_rate", 0.8, "×", 0.75, 0.9, True)
    ]
    assert (second["value"], second["ok"], third["ok"]) == (7.1235, False, None)
    assert written["left_out"] == {"streams": "there is no etcd"}


def test_floats_are_written_with_five_digits_and_all_else_as_it_is() -> None:
    assert rounded({"a": [1.2345678, 12345678, "1.2345678"]}) == {"a": [1.2346, 12345678, "1.2345678"]}


@pytest.mark.parametrize(
    ("ok", "goal", "word"), [(False, False, "missed"), (True, False, "must"), (True, True, "goal"), (None, None, "")]
)
def test_what_a_figure_has_reached_is_said_in_a_word(ok: bool | None, goal: bool | None, word: str) -> None:
    assert verdict(ok, goal) == word


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.8512, "0.851 ms"), (12345.6, "12,346 ms"), (100.4, "100 ms")]
)
def test_numbers_for_people_have_three_digits(value: float | None, text: str) -> None:
    assert quantity(value, "ms") == text


def test_both_sides_of_a_ratio_are_shown_and_nothing_for_other_figures() -> None:
    first, second, _ = results().figures
    assert sides(first) == "8,000 / 10,000 calls/s"
    assert sides(second) == ""


def test_the_terminal_shows_what_is_missed_and_what_was_left_out() -> None:
    console = Console(width=150, file=io.StringIO())
    found = results()
    show(console, found.figures, found.left_out, {"calls": "WrongAnswers: 3"})
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert re.search(r"7\.12 ms.*missed", text)
    assert "left out: streams: there is no etcd" in text
    assert "failed: calls: WrongAnswers: 3" in text


def test_the_page_has_the_figures_the_machine_and_the_charts() -> None:
    written = page.render(TEMPLATE, json.loads(json.dumps(results().as_json())))
    text = written[page.PAGE]
    row = "| calls/s in 64 warm sessions, 64 in flight | bare grpc.aio echo | 0.8 × | 0.7 – 0.95 |"
    assert f"{row} 8,000 / 10,000 calls/s | 0.75 × | 0.9 × | must |" in text
    assert "Some CPU" in text
    assert "- streams: there is no etcd" in text
    assert "The machine was busy." in text
    assert "{{" not in text
    charts = set(re.findall(r"\((performance/\w+\.svg)\)", text))
    assert {f"docs/{name}" for name in charts} == written.keys() - {page.PAGE}


def test_what_a_chart_comes_to_stands_below_it_in_words() -> None:
    found = results()
    lines = {"gateway": [(1.0, 900.0), (2.0, 990.0)]}
    words = ["Two make 1.1 × the calls/s of one.", "And that is all."]
    found.series.append(Series("more", "More of them", "of them", "calls/s", lines, {"ratio": 1.1}, words))
    written = json.loads(json.dumps(found.as_json()))
    assert written["series"][1]["measured"] == {"ratio": 1.1}
    text = page.render(TEMPLATE, written)[page.PAGE]
    assert text.endswith(
        "![Deployed apps](performance/apps.svg)\n\n![More of them](performance/more.svg)\n\n" + "\n".join(words) + "\n"
    )


def test_a_chart_of_older_results_has_no_words() -> None:
    written = json.loads(json.dumps(results().as_json()))
    for name in ("says", "measured"):
        del written["series"][0][name]
    assert page.render(TEMPLATE, written)[page.PAGE].endswith("![Deployed apps](performance/apps.svg)\n")


def test_every_chart_is_well_formed_and_says_what_it_is_about() -> None:
    written = page.render(TEMPLATE, json.loads(json.dumps(results().as_json())))
    chart = ElementTree.fromstring(written["docs/performance/apps.svg"])
    texts = {element.text for element in chart.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Deployed apps", "gateway", "100"} <= texts
    targets = ElementTree.fromstring(written["docs/performance/targets.svg"])
    # One bar for each figure that must reach something, on the background.
    assert len(list(targets.iter("{http://www.w3.org/2000/svg}rect"))) == 3


def test_a_template_without_a_place_for_the_figures_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no \{\{figures"):
        page.render("{{run}}", json.loads(json.dumps(results().as_json())))


@pytest.mark.parametrize(
    ("name", "value", "progress"),
    [("calls_rate", 0.375, (0.5, 1.2)), ("new_median", 10.0, (0.5, 2.5)), ("soak_memory", 0.0, (float("inf"), None))],
)
def test_progress_is_one_where_the_must_is_just_reached(name: str, value: float, progress: tuple[float, Any]) -> None:
    assert page.progress(figure(name, [value])) == pytest.approx(progress)


@pytest.mark.parametrize(("value", "top"), [(0.9, 1), (1.0, 1), (3, 4), (4.1, 5), (8100, 10000), (1500, 2000)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice(value) == top


def test_the_results_that_the_page_is_made_of_are_those_of_a_full_run() -> None:
    committed: dict[str, Any] = json.loads((ROOT / "bench" / "results" / "full.json").read_text(encoding="utf-8"))
    assert committed["kind"] == "full"
    assert committed["failed"] == {}
