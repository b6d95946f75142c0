"""The README's numbers are those of the files that commands wrote."""

from __future__ import annotations

import re

from tests.benchmarks.readme import README, TABLES, filled


def test_the_tables_are_rendered_from_their_files() -> None:
    text = README.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m tests.benchmarks.readme"
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(TABLES)
