"""What docs/security.md promises is what the tests try."""

from tests.process.promises import table
from tools.paths import ROOT


def test_the_page_about_security_has_the_table_that_a_hostile_app_tries() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("### What each profile promises\n")
    found = "".join(line + "\n" for line in rest.partition("\n### ")[0].splitlines() if line.startswith("|"))
    assert found == table()
