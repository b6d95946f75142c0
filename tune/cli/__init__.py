"""The commands, one short file each; `main` finds them by name."""
