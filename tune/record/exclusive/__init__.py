"""One process runs a search at a time, also where several machines can reach its record.

- In its folder: a lock that the kernel releases when its holder dies, however it dies (`folder_lock.py`).
- PostgreSQL: an advisory lock of the very connection that writes (`advisory.py`).
- SQLite, or a folder on a network file system: a lease in the record, renewed by a thread; one that loses it stops
  (`lease.py`).
"""
