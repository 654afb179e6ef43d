"""What the local pool remembers of an app version's failed starts."""

import logging
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.errors import AppStartFailed
from gateway.model import AppRef, AppVersion
from gateway.testing.clock import FakeClock
from gateway.workers.base import none_available
from gateway.workers.containment.choice import UNAVAILABLE
from gateway.workers.replies import start_error
from gateway.workers.shared import SharedWorkers
from gateway.workers.version import Version
from gateway.workers.zygotes import Zygotes
from sessiongateway.worker.v1 import worker_pb2 as pb

APP = AppVersion(AppRef("app", "1"), Path("/nowhere"))


async def nothing(*_: object) -> NoReturn:
    raise AssertionError("nothing is to be started")


@pytest.fixture
def version() -> Version:
    clock = FakeClock()
    version = Version(APP, SharedWorkers(APP, 1, clock, nothing, none_available), Zygotes(APP, nothing, clock))
    version.want_ready()
    return version


def lacking(what: str) -> AppStartFailed:
    return start_error(APP.ref, pb.Failure(type=UNAVAILABLE, message=what))


def test_what_the_machine_lacks_is_told_once_and_again_when_it_lacks_something_else(version: Version) -> None:
    told = [version.level_of(lacking(what)) for what in ("bwrap", "bwrap", "users", "users", "bwrap")]
    assert told == [logging.WARNING, logging.DEBUG, logging.WARNING, logging.DEBUG, logging.WARNING]
    version.has_started()
    assert version.level_of(lacking("bwrap")) == logging.WARNING


def test_nothing_is_made_ready_of_what_the_machine_cannot_give_until_a_caller_or_a_deployment_tries_again(
    version: Version,
) -> None:
    refills = [version.refills]
    for change in (version.want_ready, version.has_started):
        version.level_of(lacking("bwrap"))
        refills.append(version.refills)
        change()
        refills.append(version.refills)
    assert refills == [True, False, True, False, True]


def test_an_app_that_does_not_start_is_told_of_each_time_and_tried_again_by_itself(version: Version) -> None:
    raised = start_error(APP.ref, pb.Failure(type="ImportError", message="no module"))
    assert [version.level_of(raised), version.level_of(raised)] == [logging.WARNING, logging.WARNING]
    assert version.refills
