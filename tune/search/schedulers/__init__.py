"""Schedulers: which trials to stop early."""
