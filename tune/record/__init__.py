"""The durable truth about searches and runs: study, folders, tables."""

from tune.record.folder import RunFolder, SearchFolder, locate_run, locate_search
from tune.record.status import Status
from tune.record.study import Record
from tune.record.trial import TrialRecord

__all__ = ["Record", "RunFolder", "SearchFolder", "Status", "TrialRecord", "locate_run", "locate_search"]
