"""The user's own images: one folder per class.

``listing`` (which files there are, and what is left out) -> ``parts`` (classes, train and test) -> ``index`` (content
hashes, remembered) -> ``reading`` (prepared arrays). ``image_files``: single images, for prediction.
"""
