"""Our own measurements: the published runs and the comparison of data types."""
