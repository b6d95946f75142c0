"""What may vary in an experiment: domains, spaces, and the spaces that come with imagetune."""

from search_spaces.domains import Choice, Domain, Float, Int, parse
from search_spaces.errors import SpaceError
from search_spaces.space import Config, Space, config_key, parse_space, shipped

__all__ = [
    "Choice",
    "Config",
    "Domain",
    "Float",
    "Int",
    "Space",
    "SpaceError",
    "config_key",
    "parse",
    "parse_space",
    "shipped",
]
