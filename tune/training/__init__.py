"""Train one experiment: images in, epochs of metrics, weights and an exact state out. No Ray, no search, no Optuna."""

from tune.files import PARTIAL
from tune.training.checkpoint import CheckpointError, OtherVersionError, load, load_weights, save, save_weights
from tune.training.failures import last_lines, out_of_memory, process_broken
from tune.training.first_step import InfeasibleError
from tune.training.loop import End, Training, train
from tune.training.malloc import MALLOC_ENVIRONMENT, keep_freed_memory
from tune.training.metrics import EpochMetrics, best_of
from tune.training.optimizer import autocast
from tune.training.seeding import cpu_threads, seeded, stream_seed
from tune.training.splits import Splits, open_splits, stored_as
from tune.training.state import fingerprint
from tune.training.tasks import Task, bound_terms, negative_bound, task_of

__all__ = [
    "MALLOC_ENVIRONMENT",
    "PARTIAL",
    "CheckpointError",
    "End",
    "EpochMetrics",
    "InfeasibleError",
    "OtherVersionError",
    "Splits",
    "Task",
    "Training",
    "autocast",
    "best_of",
    "bound_terms",
    "cpu_threads",
    "fingerprint",
    "keep_freed_memory",
    "last_lines",
    "load",
    "load_weights",
    "negative_bound",
    "open_splits",
    "out_of_memory",
    "process_broken",
    "save",
    "save_weights",
    "seeded",
    "stored_as",
    "stream_seed",
    "task_of",
    "train",
]
