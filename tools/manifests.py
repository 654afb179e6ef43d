"""Checks Kubernetes manifests against the schemas of Kubernetes and of KubeRay: python -m tools.manifests FILE...

Needs the package kubernetes-validate and, where a manifest is of KubeRay, RAY_CRD: the path of its definition of
RayCluster. .ci/toolchains installs both. Prints a line for each mistake and ends with 1 if there is any.
"""

import copy
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

RELEASES = ("1.33", kubernetes_validate.latest_version())
"""Of Kubernetes: the first that has sidecars for good, and the newest that the schemas know."""

CRD = "RAY_CRD"


def main(paths: list[str]) -> int:
    """Check these files, and return the exit code."""
    mistakes = [f"{path}: {mistake}" for path in paths for mistake in mistakes_in(Path(path).read_text())]
    print("\n".join(mistakes) if mistakes else f"{len(paths)} files are what the schemas ask for")
    return 1 if mistakes else 0


def mistakes_in(text: str) -> Iterator[str]:
    """Yield what is wrong with the manifests of a file."""
    for manifest in yaml.safe_load_all(text):
        try:
            _check(manifest)
        except jsonschema.ValidationError as error:
            where = ".".join(map(str, error.absolute_path)) or "at the top"
            yield f"{manifest['kind']} {manifest['metadata']['name']}: {where}: {error.message[:400]}"
        except (kubernetes_validate.SchemaNotFoundError, LookupError, TypeError) as error:
            yield f"{getattr(error, 'message', error)}"


def _check(manifest: Mapping[str, Any]) -> None:
    if manifest["apiVersion"].startswith("ray.io/"):
        jsonschema.Draft202012Validator(_definition(manifest)).validate(manifest)
        return
    for release in RELEASES:
        kubernetes_validate.validate(manifest, release, strict=True)


def _definition(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a custom resource. Raises LookupError when there is none."""
    definition = yaml.safe_load(Path(os.environ[CRD]).read_text())
    if definition["spec"]["names"]["kind"] != manifest["kind"]:
        raise LookupError(f"{CRD} defines {definition['spec']['names']['kind']}, and this is a {manifest['kind']}")
    versions = {f"{definition['spec']['group']}/{each['name']}": each for each in definition["spec"]["versions"]}
    schema = copy.deepcopy(versions[manifest["apiVersion"]]["schema"]["openAPIV3Schema"])
    # The API server looks into the metadata of every object itself.
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    _close(schema)
    closed: Mapping[str, Any] = schema
    return closed


def _close(schema: Any) -> None:
    """Refuse fields that are not in the schema: the API server drops them without a word, or with a warning."""
    if isinstance(schema, list):
        for each in schema:
            _close(each)
    elif isinstance(schema, dict):
        fields = schema.get("properties")
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if isinstance(fields, dict) and schema.get("type") == "object" and not open_ended:
            schema["additionalProperties"] = False
        for each in schema.values():
            _close(each)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
