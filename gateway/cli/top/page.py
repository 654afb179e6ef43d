"""The page of a metrics port, as numbers that can be asked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

PROCESS = "process"
"""The label of numbers that each of several gateway processes has for itself."""


class Sample(NamedTuple):
    """One line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


Key = tuple[str, frozenset[tuple[str, str]]]
"""What tells a series from all others."""


class Series:
    """Samples that can be asked for by name and labels."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        """Of samples that nothing tells apart the last one counts."""
        self.by_key: Mapping[Key, Sample] = {
            (sample.name, frozenset(sample.labels.items())): sample for sample in samples
        }
        self._by_name: dict[str, list[Sample]] = {}
        for sample in self.by_key.values():
            self._by_name.setdefault(sample.name, []).append(sample)

    def of(self, name: str, **labels: str) -> Iterator[Sample]:
        """Yield the samples of a name that have these labels, and maybe more."""
        wanted = labels.items()
        return (sample for sample in self._by_name.get(name, ()) if wanted <= sample.labels.items())

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that `of` yields: 0.0 if there are none."""
        return sum(sample.value for sample in self.of(name, **labels))


@dataclass(frozen=True, slots=True)
class Page:
    """What a gateway counted, at one moment."""

    at: float
    """When it was read, in seconds on a clock that does not jump."""
    wall: float
    """The same in seconds since the epoch."""
    series: Series

    @property
    def starts(self) -> dict[str, float]:
        """When each gateway process that is on the page began, in seconds since the epoch. A single one is ""."""
        found = self.series.of("process_start_time_seconds")
        return {sample.labels.get(PROCESS, ""): sample.value for sample in found}


def page_of(text: str, at: float, wall: float) -> Page:
    """Read a page. Raises ValueError if it is not in the text format of Prometheus."""
    return Page(at, wall, Series(_samples(text)))


def _samples(text: str) -> Iterator[Sample]:
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield Sample(sample.name, sample.labels, float(sample.value))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"this is no page of Prometheus: {error}") from None
