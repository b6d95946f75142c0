"""The search: a driver that decides and remembers, Ray Tune that executes, and the seams between the two."""
