"""What a search or a training leaves behind: run folders, winners retrained, evaluations, tables, figures."""
