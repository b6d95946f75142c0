"""What may vary in an experiment: domains, spaces, and the spaces that come with imagetune."""

from search_spaces.domains import Choice, Domain, Float, Int
from search_spaces.errors import SpaceError, closest, nearest, shown
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
    "closest",
    "config_key",
    "nearest",
    "parse",
    "parse_space",
    "shipped",
    "shown",
    "write",
]
