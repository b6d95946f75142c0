"""Results to look at: analysis, charts, the HTML report, comparisons, and `load_search` and `load_run`."""
