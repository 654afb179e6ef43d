"""docs/scale.md says what was measured, and the measurement says what could not be."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import context, kept, scale_model, scale_page
from bench.figure import Figure, LeftOut, Series
from bench.figures import records, stores
from bench.load import LoadGenerator
from bench.report import CLUSTER, FULL, Results
from bench.run import CLUSTER as GROUPS
from bench.targets import TARGETS
from gateway.config import setting_paths
from tests.redis.conftest import needed
from tools.paths import ROOT


@pytest.fixture
def cluster() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CLUSTER.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def full() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FULL.read_text(encoding="utf-8"))
    return found


def test_the_results_that_the_page_is_made_of_are_those_of_a_whole_run(cluster: dict[str, Any]) -> None:
    assert (cluster["kind"], cluster["failed"]) == ("cluster", {})
    assert set(cluster["left_out"]) <= {"ray"}
    names = {one["name"] for one in cluster["figures"]}
    assert {"calls_rate_redis", "call_median_redis", "record_memory", "records_get", "records_admit"} <= names


def test_redis_costs_no_more_than_it_may(cluster: dict[str, Any]) -> None:
    (rate,) = (one for one in cluster["figures"] if one["name"] == "calls_rate_redis")
    assert (rate["must"], rate["ok"]) == (0.6, True)


def test_the_page_has_every_figure_and_no_place_left_open(cluster: dict[str, Any], full: dict[str, Any]) -> None:
    text = scale_page.render(scale_page.TEMPLATE.read_text(encoding="utf-8"), cluster, full)[scale_page.PAGE]
    assert "{{" not in text
    for one in cluster["figures"]:
        assert f"| {one['title']} |" in text
    for reason in cluster["left_out"].values():
        assert reason in text


def test_the_numbers_of_fleets_follow_the_measurement(cluster: dict[str, Any], full: dict[str, Any]) -> None:
    template = scale_page.TEMPLATE.read_text(encoding="utf-8")
    before = scale_page.render(template, cluster, full)[scale_page.PAGE]
    for one in cluster["figures"]:
        if one["name"] == "redis_call":
            one["value"] *= 2
    after = scale_page.render(template, cluster, full)[scale_page.PAGE]

    def tables(text: str) -> list[str]:
        return re.findall(r"^\| 100 million.*$|^\| 300 s .*$|^\| 2 gateways, calls \| 0\.50 .*$", text, re.MULTILINE)

    assert len(tables(before)) == len(tables(after)) == 5
    assert all(old != new for old, new in zip(tables(before), tables(after), strict=True) if "calls of" not in old)


def test_results_that_lack_a_figure_are_refused(cluster: dict[str, Any], full: dict[str, Any]) -> None:
    cluster["figures"] = [one for one in cluster["figures"] if one["name"] != "redis_keepalive"]
    with pytest.raises(KeyError, match="redis_keepalive"):
        scale_model.costs(cluster, full)


def test_a_template_without_a_place_for_a_table_is_refused(cluster: dict[str, Any], full: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no \{\{figures"):
        scale_page.render("{{run}}", cluster, full)


def test_workers_on_ray_are_left_out_with_the_reason_where_there_are_none() -> None:
    bench = context.Bench(context.quick(), LoadGenerator(Path("none")))
    if "workers.pool" in setting_paths():
        assert stores.no_ray() == "" or "not installed" in stores.no_ray()
        return
    with pytest.raises(LeftOut, match=r"no setting workers\.pool"):
        next(GROUPS["ray"][0](bench))


def test_without_redis_the_groups_are_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bench = context.Bench(context.quick(), LoadGenerator(Path("none")))
    for name in ("redis", "records"):
        with pytest.raises(LeftOut, match="redis-server"):
            next(GROUPS[name][0](bench))


def test_a_redis_for_which_there_is_no_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    needed()
    monkeypatch.setattr("bench.redis.memory", lambda _: 3_000_000_000)
    monkeypatch.setenv("BENCH_RECORDS", "1000000")
    bench = context.Bench(context.quick(), LoadGenerator(Path("none")))
    with pytest.raises(LeftOut, match=r"GB of memory 3\.0 are available"):
        next(GROUPS["records"][0](bench))


def test_a_few_records_are_measured_like_a_million(monkeypatch: pytest.MonkeyPatch) -> None:
    needed()
    monkeypatch.setenv("BENCH_RECORDS", "2000")
    noted: list[object] = []
    settings = context.Settings(quick=True, rounds=1, seconds=0.1, opened=0, expiring=0, soak_seconds=0.0)
    found = list(records.measure(context.Bench(settings, LoadGenerator(Path("none")), noted.append)))
    figures = {each.name: each for each in found if isinstance(each, Figure)}
    assert figures.keys() == {name for name in TARGETS if name.startswith(("record", "redis_"))}
    assert all(each.value > 0 for name, each in figures.items() if not name.startswith("redis_"))
    assert 500 < figures["record_memory"].value < records.BYTES_EACH
    (series,) = (each for each in found if isinstance(each, Series))
    assert {tuple(x for x, _ in line) for line in series.lines.values()} == {(1000.0, 2000.0)}
    assert len(noted) == 2


@pytest.mark.parametrize(
    ("flags", "why"),
    [(["--only", "records"], "there is no records in this"), (["--cluster", "--only", "calls"], "there is no calls")],
)
def test_a_group_of_the_other_command_is_refused(flags: list[str], why: str) -> None:
    command = [sys.executable, "-m", "bench", "--load", sys.executable, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.parametrize(
    ("missing", "is_kept"),
    [
        ({"left_out": {"ray": "none"}}, True),
        ({"left_out": {"redis": "none"}}, False),
        ({"left_out": {"records": "none"}}, False),
        ({"failed": {"records": "Error"}}, False),
    ],
)
def test_results_are_kept_for_the_page_when_it_can_be_made_of_them(
    cluster: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    missing: dict[str, dict[str, str]],
    is_kept: bool,
) -> None:
    for name in ("LATEST", "CLUSTER"):
        monkeypatch.setattr(f"bench.report.{name}", tmp_path / f"{name}.json")
    monkeypatch.setattr("bench.kept.ROOT", tmp_path)
    figures = [Figure(**one) for one in cluster["figures"]]
    results = Results("cluster", "", {}, {}, {}, figures)
    results.left_out, results.failed = missing.get("left_out", {}), missing.get("failed", {})
    kept.write(results)
    assert (tmp_path / "LATEST.json").is_file()
    assert (tmp_path / "CLUSTER.json").is_file() is is_kept
    assert (tmp_path / scale_page.PAGE).is_file() is is_kept


def test_a_run_with_fewer_records_is_only_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.kind_of(True, False, whole=True) == "cluster"
    assert kept.kind_of(True, False, whole=False) == "part"
    monkeypatch.setenv("BENCH_RECORDS", "10000")
    assert kept.kind_of(True, False, whole=True) == "part"
    assert kept.kind_of(False, False, whole=True) == "full"


def test_the_chart_of_the_page_is_in_the_tree() -> None:
    assert (ROOT / scale_page.CHART).is_file()
