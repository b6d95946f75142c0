"""The models, their options and their costs. Imports no other package of this repository.

The function `models.cost.cost` is not exported here, where it would hide the module of the same name.
"""

from models.classifier_plan import ClassifierPlan, StagePlan, plan
from models.cost import Cost, build_meta, cost_of, layer_counts, require_size, summary
from models.errors import ModelError
from models.first_weights import Whitening, whitening_images
from models.registry import ModelEntry, Option, build, check, get, names, options
from models.vae import Reconstruction

__all__ = [
    "ClassifierPlan",
    "Cost",
    "ModelEntry",
    "ModelError",
    "Option",
    "Reconstruction",
    "StagePlan",
    "Whitening",
    "build",
    "build_meta",
    "check",
    "cost_of",
    "get",
    "layer_counts",
    "names",
    "options",
    "plan",
    "require_size",
    "summary",
    "whitening_images",
]
