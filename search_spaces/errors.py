"""The one error that this package shows to users."""


class SpaceError(ValueError):
    """A search space, or one domain of it, cannot be: the text names the condition, the value, and what is legal."""
