"""The charts of pages, as plotly figures: each has a title that says what is seen, and axes with units."""
