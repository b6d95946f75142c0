"""Published data sets: downloading, verifying and reading their files; and the digits that come with scikit-learn."""
