"""The only modules that import Ray: its interfaces, the cluster, running trials, lost workers."""
