"""Software bills of materials, in CycloneDX, of all that is delivered."""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component as Part
from cyclonedx.model.component import ComponentScope, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools.paths import ROOT
from tools.supply.component import Component
from tools.supply.locks import Lock, cargo, debian, go, maven, npm, pip
from tools.supply.policy import with_licences

OUTPUT = ROOT / "build" / "sbom"


@dataclass(frozen=True, slots=True)
class Product:
    """Something that is delivered."""

    name: str
    type: ComponentType
    lock: str
    """What it is locked with."""
    read: Callable[[str], Iterator[Component]]


def _of_sdk(text: str) -> Iterator[Component]:
    return (component for component in pip(text, {"sessiongateway"}) if component.runtime)


PRODUCTS = (
    Product("session-gateway", ComponentType.APPLICATION, "requirements/dev.lock", pip),
    Product("sessiongateway-python", ComponentType.LIBRARY, "requirements/dev.lock", _of_sdk),
    Product("sessiongateway-typescript", ComponentType.LIBRARY, "clients/typescript/package-lock.json", npm),
    Product("sessiongateway-go", ComponentType.LIBRARY, "clients/go/go.sum", go),
    Product("sessiongateway-java", ComponentType.LIBRARY, "clients/java/dependencies.lock", maven),
    Product("sessiongateway-rust", ComponentType.LIBRARY, "clients/rust/Cargo.pins", cargo),
    Product("sessiongateway-cpp", ComponentType.LIBRARY, "clients/cpp/packages.lock", debian),
    Product("sessiongateway-ruby", ComponentType.LIBRARY, "clients/ruby/packages.lock", debian),
)


def version() -> str:
    """Return the version of the project."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(about["project"]["version"])


def written(folder: Path = OUTPUT) -> Iterator[tuple[Path, int]]:
    """Write one file for each product, and yield each with how many components it has.

    Raises ValueError for one that the schema of CycloneDX refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for product in PRODUCTS:
        components = Lock(product.lock, product.read).components()
        if components and components[0].type == "pypi":
            components = with_licences(components)
        text = JsonV1Dot6(bom_of(product, components)).output_as_string(indent=2)
        check(text)
        path = folder / f"{product.name}.cdx.json"
        path.write_text(text + "\n", encoding="utf-8")
        yield path, len(components)


def check(text: str) -> None:
    """Raise ValueError if the text is not what the schema of CycloneDX 1.6 asks for."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise ValueError(f"this is no bill of materials: {problem}")


def bom_of(product: Product, components: Iterable[Component]) -> Bom:
    """Return the bill of one product; what only builds or tests it is in it as excluded from what is delivered."""
    root = Part(
        name=product.name,
        version=version(),
        type=product.type,
        bom_ref=product.name,
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    bom = Bom()
    bom.metadata.component = root
    parts = [_part(component) for component in components]
    bom.components.update(parts)
    # What a lock file tells is that the product comes with them, not which of them needs which.
    bom.register_dependency(root, parts)
    return bom


def _part(component: Component) -> Part:
    namespace, _, name = component.name.replace(":", "/").rpartition("/")
    licences = []
    if component.licence:
        licences = [
            LicenseFactory().make_from_string(
                component.licence, license_acknowledgement=LicenseAcknowledgement.DECLARED
            )
        ]
    return Part(
        name=name,
        group=namespace or None,
        version=component.version,
        type=ComponentType.LIBRARY,
        purl=PackageURL(component.type, namespace or None, name, component.version),
        bom_ref=component.purl,
        hashes=[HashType.from_composite_str(text) for text in component.hashes if not text.startswith("h1:")],
        licenses=licences,
        scope=ComponentScope.REQUIRED if component.runtime else ComponentScope.EXCLUDED,
    )
