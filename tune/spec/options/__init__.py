"""The options of samplers and schedulers: a specification for each, by the names that a search uses."""
