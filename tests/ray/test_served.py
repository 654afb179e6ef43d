"""A gateway as a user runs it, with its workers on Ray, seen through the SDK."""

from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import DEADLINE
from sessiongateway import Inference, SessionEndedError
from tests.ray.conftest import RayCluster
from tools.paths import ROOT

APPS = {"steady": ROOT / "tests" / "apps" / "steady"}


def served(cluster: RayCluster, data_dir: Path, drain: str = "end", **environment: str) -> GatewayProcess:
    return GatewayProcess(
        data_dir, APPS, ["--pool", "ray", "--ray-address", cluster.address, "--min-idle", "1"], drain, environment
    )


def test_sessions_live_on_workers_of_ray_and_outlive_a_gateway_that_is_killed(
    cluster: RayCluster, tmp_path: Path
) -> None:
    with served(cluster, tmp_path / "data", "keep") as gateway:
        with Inference(address=gateway.address, timeout=DEADLINE) as client:
            assert client.run(app="steady", input={}).output["calls"] == 1
            first = client.run(app="steady", session="new", session_timeout=300, input={})
            again = client.run(app="steady", session=first.session_id, input={})
            assert (again.output["calls"], again.output["pid"]) == (2, first.output["pid"])
        gateway.kill()
        gateway.start(DEADLINE)
        with Inference(address=gateway.address, timeout=DEADLINE) as client:
            later = client.run(app="steady", session=first.session_id, input={})
            assert (later.output["calls"], later.output["pid"]) == (3, first.output["pid"])
            client.sessions.end(first.session_id)
            with pytest.raises(SessionEndedError):
                client.run(app="steady", session=first.session_id, input={})


def test_the_gateway_does_not_load_ray(cluster: RayCluster, tmp_path: Path) -> None:
    with served(cluster, tmp_path / "data") as gateway:
        loaded = Path(f"/proc/{gateway.pid}/maps").read_text()
        assert "_raylet" not in loaded


def test_a_gateway_without_a_cluster_does_not_start_and_says_why(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path / "data", APPS, ["--pool", "ray", "--ray-address", "127.0.0.1:1"])
    with pytest.raises(RuntimeError, match="Ray is away"):
        gateway.start(2 * DEADLINE)
