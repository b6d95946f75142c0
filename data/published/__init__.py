"""Published data sets: the files that are downloaded, checked and read, and the digits bundled with scikit-learn."""
