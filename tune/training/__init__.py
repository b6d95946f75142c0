"""Train one experiment: from images to metrics per epoch, weights, and a state to continue from exactly."""

from tune.training.checkpoint import CheckpointError, OtherVersionError, load, load_weights, save, save_weights
from tune.training.failures import last_lines, out_of_memory, process_broken
from tune.training.loop import Training, train
from tune.training.metrics import End, best_of
from tune.training.model import InfeasibleError
from tune.training.precision import autocast
from tune.training.process import cpu_threads, prepare_process, seeded, stream_seed
from tune.training.schedules import learning_rates
from tune.training.splits import Splits, open_splits, split_up, steps_per_epoch
from tune.training.state import fingerprint
from tune.training.tasks import Task, bound_of_minimized, bound_terms, negative_bound, task_of

__all__ = [
    "CheckpointError",
    "End",
    "InfeasibleError",
    "OtherVersionError",
    "Splits",
    "Task",
    "Training",
    "autocast",
    "best_of",
    "bound_of_minimized",
    "bound_terms",
    "cpu_threads",
    "fingerprint",
    "last_lines",
    "learning_rates",
    "load",
    "load_weights",
    "negative_bound",
    "open_splits",
    "out_of_memory",
    "prepare_process",
    "process_broken",
    "save",
    "save_weights",
    "seeded",
    "split_up",
    "steps_per_epoch",
    "stream_seed",
    "task_of",
    "train",
]
