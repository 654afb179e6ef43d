"""The manifests in deploy/kubernetes: what the schemas ask for, and what no schema knows."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import environment_name, setting_paths
from tests.repository.test_packaging import CLIENT_VARIABLES, program
from tools.paths import ROOT

MANIFESTS = ROOT / "deploy" / "kubernetes"
FILES = sorted(MANIFESTS.glob("*.yaml"))
TLS_VARIABLES = {"SGW_TLS_CERT", "SGW_TLS_KEY"}
NAME = "app.kubernetes.io/name"

NEEDED = ("deploy/kubernetes is checked with kubernetes-validate and KubeRay's definition of RayCluster (RAY_CRD), "
    "which .ci/toolchains installs")  # fmt: skip


def checker() -> list[str]:
    """Return the command that checks files, without which a test is skipped; CI has it."""
    script = Path(program("kubernetes-validate")).resolve()
    definition = os.environ.get("RAY_CRD", "")
    if not Path(definition).is_file():
        assert "CI" not in os.environ, NEEDED
        pytest.skip(NEEDED)
    return [str(script.parent / "python"), "-m", "tools.manifests"]


def checked(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the checker."""
    command = [*checker(), *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def objects(kind: str) -> list[dict[str, Any]]:
    """Return the manifests of a kind."""
    found = [each for path in FILES for each in yaml.safe_load_all(path.read_text()) if each["kind"] == kind]
    assert found
    return found


def gateway() -> dict[str, Any]:
    """Return the pod of the gateway."""
    spec: dict[str, Any] = objects("Deployment")[0]["spec"]["template"]["spec"]
    return spec


def test_every_manifest_is_what_the_schemas_of_kubernetes_and_kuberay_ask_for() -> None:
    done = checked(*FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "right", "wrong", "named"),
    [
        ("gateway.yaml", "failureThreshold: 60", "failureTreshold: 60", "failureTreshold"),
        ("gateway.yaml", "replicas: 3", "replicas: three", "spec.replicas"),
        ("gateway.yaml", "kind: PodDisruptionBudget", "kind: DisruptionBudget", "DisruptionBudget"),
        ("gateway.yaml", "apiVersion: policy/v1", "apiVersion: policy/v1beta1", "PodDisruptionBudget"),
        ("network.yaml", "podSelector:", "podSelectors:", "podSelectors"),
        ("redis-trial.yaml", "serviceName:", "service:", "service"),
        ("ray.yaml", "minReplicas: 2", "minReplica: 2", "minReplica"),
        ("ray.yaml", "maxReplicas: 20", "maxReplicas: many", "maxReplicas"),
        ("ray.yaml", "containerPort: 6379", "containerPort: gcs", "containerPort"),
        ("ray.yaml", "seccompProfile: {type", "seccompProfile: {typ", "typ"),
        ("ray.yaml", "apiVersion: ray.io/v1", "apiVersion: ray.io/v2", "ray.io/v2"),
    ],
)
def test_a_wrong_field_is_told(tmp_path: Path, file: str, right: str, wrong: str, named: str) -> None:
    text = (MANIFESTS / file).read_text()
    assert right in text
    (tmp_path / file).write_text(text.replace(right, wrong))
    done = checked(tmp_path / file)
    assert (done.returncode, named in done.stdout) == (1, True), done.stdout + done.stderr


def test_the_settings_are_ones_that_the_gateway_takes(tmp_path: Path) -> None:
    text = objects("ConfigMap")[0]["data"]["gateway.toml"]
    variables = set(re.findall(r"\bSGW_[A-Z_]+", (MANIFESTS / "gateway.yaml").read_text()))
    assert variables - {environment_name(path) for path in setting_paths()} - CLIENT_VARIABLES - TLS_VARIABLES == set()
    (tmp_path / "gateway.toml").write_text(text)
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "sgw", "config", "check", "--config", tmp_path / "gateway.toml"],
        env={**os.environ, "SGW_CLUSTER_ADVERTISE": "10.0.0.7:50152"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gateway_has_time_to_drain_before_it_is_killed() -> None:
    config = tomllib.loads(objects("ConfigMap")[0]["data"]["gateway.toml"])
    assert gateway()["terminationGracePeriodSeconds"] > config["server"]["drain_grace"]


def test_the_environment_of_the_image_does_not_outweigh_the_file() -> None:
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    environment = dict(re.findall(r"(SGW_[A-Z_]+)=([^\s]+)", dockerfile))
    assert environment["SGW_SERVER_DRAIN"] == "end"
    environment |= {each["name"]: each["value"] for each in gateway()["containers"][0]["env"] if "value" in each}
    assert environment["SGW_SERVER_DRAIN"] == "keep"
    config = tomllib.loads(objects("ConfigMap")[0]["data"]["gateway.toml"])
    for path in setting_paths():
        section, _, leaf = path.rpartition(".")
        value = config.get(section, {}).get(leaf) if section else None
        assert value is None or environment.get(environment_name(path), value) == value, path


def test_every_selector_selects_the_pods_of_a_workload_here() -> None:
    pods = [
        each["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "StatefulSet")
        for each in objects(kind)
    ]
    ray = objects("RayCluster")[0]["spec"]
    pods += [group["template"]["metadata"]["labels"] for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"])]
    selectors = [each["spec"]["selector"] for each in objects("Service") if "selector" in each["spec"]]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in objects("PodDisruptionBudget")]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in objects("NetworkPolicy")]
    names = {labels[NAME] for labels in pods}
    assert {selector[NAME] for selector in selectors} == names


def test_every_port_that_is_named_is_one_of_the_container() -> None:
    named = {port["name"]: port["containerPort"] for port in gateway()["containers"][0]["ports"]}
    config = tomllib.loads(objects("ConfigMap")[0]["data"]["gateway.toml"])
    listens = (config["server"]["listen"], config["cluster"]["listen"], config["metrics"]["address"])
    assert {int(address.rpartition(":")[2]) for address in listens} == set(named.values())
    policy = next(each for each in objects("NetworkPolicy") if each["metadata"]["name"] == "session-gateway")
    asked = {port["port"] for rule in policy["spec"]["ingress"] for port in rule.get("ports", [])}
    assert asked == set(named)


def test_no_container_may_more_than_it_needs() -> None:
    ray = objects("RayCluster")[0]["spec"]
    pods = [each["spec"]["template"]["spec"] for kind in ("Deployment", "StatefulSet") for each in objects(kind)]
    pods += [group["template"]["spec"] for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"])]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, container["name"]
            assert "memory" in container["resources"]["limits"]


def test_the_ray_of_the_nodes_is_the_one_that_is_locked() -> None:
    lock = (ROOT / "requirements" / "bench.lock").read_text()
    locked = re.search(r"^ray==(\S+)", lock, re.MULTILINE)
    assert locked
    assert objects("RayCluster")[0]["spec"]["rayVersion"] == locked[1]


def test_the_page_beside_them_names_every_file_and_secret() -> None:
    text = (MANIFESTS / "README.md").read_text()
    secrets = set(re.findall(r"secretName: ([\w-]+)", (MANIFESTS / "gateway.yaml").read_text()))
    assert secrets
    assert {path.name for path in FILES} | secrets <= set(re.findall(r"[\w.-]+", text))
