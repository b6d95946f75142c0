"""Where a record is kept: Optuna's storages, as files and databases that survive kills, full disks and outages."""
