"""Requests to a search from outside: checked where they are made, and carried out by its driver."""
