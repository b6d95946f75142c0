"""A search of the user's own images: a file for `search`, with a budget for this machine."""
