"""Several runs side by side, and whether they really differ: figures, words and the page."""
