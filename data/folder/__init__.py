"""The user's own images: one folder per class.

``listing`` (which files there are, and what is left out) -> ``roles`` (which folders are parts) -> ``parts`` (classes,
and the images of each part) -> ``index`` (content hashes, remembered) -> ``reading`` (prepared arrays).
``decode`` and ``colour``: from one file to pixels. ``image_files``: single images, for prediction.
"""
