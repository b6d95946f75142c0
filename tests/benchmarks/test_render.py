"""The numbers on the results page are those in the files that commands wrote."""

from __future__ import annotations

import re

from tests.benchmarks.render import PAGE, TABLES, filled


def test_the_tables_are_rendered_from_their_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m tests.benchmarks.render"
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(TABLES)
