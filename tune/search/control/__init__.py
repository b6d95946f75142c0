"""A hand on the wheel: what people ask of a search from outside, checked where they ask and done by its driver."""
