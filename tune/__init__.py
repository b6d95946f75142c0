"""The application: everything that joins models, data and search spaces into searches."""
