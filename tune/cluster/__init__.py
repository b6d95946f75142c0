"""The same search on a cluster: as a job of Ray's, and the manifests that start one."""
