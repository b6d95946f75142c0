"""The numbers on the results page are those in the files that commands wrote."""

from __future__ import annotations

import re

from tests.benchmarks.render import PAGES, TABLES, filled


def test_the_tables_are_rendered_from_their_files() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert [filled(text) for text in texts] == texts, "run: python -m tests.benchmarks.render"
    assert set(re.findall(r"<!-- table: (\w+) -->", "".join(texts))) == set(TABLES)
