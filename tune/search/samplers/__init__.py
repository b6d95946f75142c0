"""Samplers: what configuration to try next."""
