"""Everything that is wrong with a specification: its fields, the images, the model on them, the space, the search."""
