"""Images to outputs: the models, their options and what they cost. Knows tensors, and no other room of the house.

The function `models.cost.cost` is not lifted up here, where it would hide the module of that name.
"""

from models.classifier_plan import ClassifierPlan, StagePlan, legal_cnn_layers, plan
from models.cost import Cost, build_meta, cost_of, layer_counts, summary
from models.errors import ModelError
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
    "build",
    "build_meta",
    "check",
    "cost_of",
    "get",
    "layer_counts",
    "legal_cnn_layers",
    "names",
    "options",
    "plan",
    "summary",
]
