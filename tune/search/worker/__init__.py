"""What a worker process does: one attempt at one trial. It knows files, but neither Ray nor the record."""
