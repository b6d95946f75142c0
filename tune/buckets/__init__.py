"""Folders in S3: a local folder mirrors each of them, and the bucket is the truth."""
