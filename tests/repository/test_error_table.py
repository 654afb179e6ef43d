"""The table that turns domain errors into statuses says what the comments of errors.proto promise."""

import inspect

import pytest

from gateway import errors
from gateway.errors import GatewayError
from gateway.rpc.error_table import ROWS
from tools.docs_errors import ErrorDoc, error_docs

DOCS = {doc.code: doc for doc in error_docs()}


@pytest.mark.parametrize("error", ROWS, ids=lambda error: error.__name__)
def test_a_row_agrees_with_the_comment_of_its_code(error: type[GatewayError]) -> None:
    row = ROWS[error]
    doc: ErrorDoc = DOCS[row.code]
    assert (row.status.name, row.http, set(row.metadata)) == (doc.status, doc.http, set(doc.metadata))


def test_every_documented_code_has_exactly_one_row() -> None:
    assert sorted(row.code for row in ROWS.values()) == sorted(DOCS)


def test_every_domain_error_has_a_row() -> None:
    classes = {
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, GatewayError) and value is not GatewayError
    }
    assert classes == set(ROWS)
