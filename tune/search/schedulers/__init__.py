"""Which trials to stop early."""
