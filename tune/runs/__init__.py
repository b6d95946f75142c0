"""Train an experiment into a run folder, continue it, retrain a search's winners."""
