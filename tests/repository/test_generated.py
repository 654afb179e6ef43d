"""Generated files say what their sources say."""

import re
from pathlib import Path

import pytest

from gateway.cli.commands.serve import flag_names
from gateway.config import default_data_dir, environment_name, read, setting_paths
from tools import check_generate, docs
from tools.descriptors import EnumValue
from tools.docs_configuration import COMPUTED_DEFAULTS, setting_schema
from tools.docs_errors import error_docs, parse


def test_generated_pages_are_up_to_date() -> None:
    assert docs.outdated() == [], "run: make docs"


def test_every_error_code_is_documented_completely() -> None:
    documented = error_docs()
    assert documented
    assert [doc.code for doc in documented if not 400 <= doc.http < 600] == []


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "When it happens.",
        "When.\n\nStatus: NOT_FOUND\nHTTP: 404\nMetadata: none",
        "When.\n\nStatus: NOT_FOUND\nHTTP: 404\nMetadata: none\nDo: this\nDo: that",
        "When.\n\nStatus: NOT_FOUND\nHTTP: 404\nMetadata: none\nDo: this\nand that",
        "When.\n\nStatus: NOT_FOUND\nHTTP: many\nMetadata: none\nDo: this",
    ],
)
def test_an_incomplete_comment_of_an_error_code_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match=r"ERROR_CODE_X|invalid literal"):
        parse(EnumValue("ERROR_CODE_X", 1, comment))


def test_stubs_that_are_missing_left_over_or_changed_are_named() -> None:
    committed = {"same": b"1", "changed": b"1", "left over": b"1"}
    fresh = {"same": b"1", "changed": b"2", "new": b"1"}
    named = [line.split(":")[0] for line in check_generate.differences(committed, fresh)]
    assert named == ["changed", "left over", "new"]


def test_only_generated_files_count_as_stubs(tmp_path: Path) -> None:
    folder = tmp_path / "clients" / "python" / "sessiongateway"
    folder.mkdir(parents=True)
    for name in ("client.py", "sessions_pb2.py", "sessions_pb2_grpc.pyi"):
        (folder / name).write_bytes(b"")
    found = {Path(path).name for path in check_generate.generated_files(tmp_path)}
    assert found == {"sessions_pb2.py", "sessions_pb2_grpc.pyi"}


def test_every_setting_has_a_description_and_a_row_in_the_docs() -> None:
    page = docs.PAGES["docs/configuration.md"]()
    bare = [
        path
        for path in setting_paths()
        if not setting_schema(path).get("description") or f"| `{environment_name(path)}` |" not in page
    ]
    assert bare == []


def test_the_example_of_a_file_is_one_that_a_gateway_takes_with_every_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in setting_paths():
        monkeypatch.delenv(environment_name(path), raising=False)
    shown = re.search(r"^```toml\n(.*?)^```$", docs.PAGES["docs/configuration.md"](), re.MULTILINE | re.DOTALL)
    assert shown
    file = tmp_path / "gateway.toml"
    file.write_text(shown[1])
    loaded = read({}, file)
    assert loaded.problems == []
    sections = {path.partition(".")[0] for path in setting_paths()} - {"processes"}
    assert {key[0] for key in loaded.given} == sections
    assert "0.0.0.0:50151" in str(loaded.settings)


def test_no_cell_of_the_settings_is_an_empty_pair_of_backticks() -> None:
    assert re.search(r"(?<!`)``(?!`)", docs.PAGES["docs/configuration.md"]()) is None


def test_the_flag_of_a_setting_stands_in_its_row() -> None:
    page = docs.PAGES["docs/configuration.md"]()
    rows = [f"| `{environment_name(path)}` | `{flag}` |" for path, flag in flag_names().items()]
    assert rows
    assert [row for row in rows if row not in page] == []


def test_the_documented_default_of_the_data_directory_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = re.findall(r"`(.*?)`", COMPUTED_DEFAULTS["data_dir"])
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == Path(second).expanduser()
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert str(default_data_dir()) == first.replace("$XDG_DATA_HOME", "/elsewhere")
