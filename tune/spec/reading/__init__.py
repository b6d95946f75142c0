"""From a YAML file and overrides to a valid experiment or search, or to everything that is wrong with it."""
