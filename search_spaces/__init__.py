"""What may vary in an experiment: domains, spaces, and the spaces that come with imagetune."""

from search_spaces.domains import Choice, Domain, Float, Int
from search_spaces.errors import SpaceError, nearest, one_of, shown, similar
from search_spaces.notation import parse, write
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
    "nearest",
    "one_of",
    "parse",
    "parse_space",
    "shipped",
    "shown",
    "similar",
    "write",
]
