"""What KubeRay's API takes, as far as a manifest of ours goes.

An excerpt of `RayJobSpec`, `RayClusterSpec`, `HeadGroupSpec`, `WorkerGroupSpec` and `AuthOptions` of ray.io/v1, from
the API reference of KubeRay 1.6 (https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html) and
ray-operator/apis/ray/v1. Pods are checked against Kubernetes' own schema.
"""

from __future__ import annotations

from typing import Any


def _mapping(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


_TEXT, _YES, _COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_POD = _mapping(("spec",), metadata={"type": "object"}, spec={"type": "object"})
_HEAD = _mapping(("template",), rayStartParams=_TEXTS, template=_POD, serviceType=_TEXT)
_WORKERS = _mapping(
    ("groupName", "minReplicas", "maxReplicas", "template"),
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    idleTimeoutSeconds=_COUNT,
    rayStartParams=_TEXTS,
    template=_POD,
)
_CLUSTER = _mapping(
    ("headGroupSpec",),
    rayVersion=_TEXT,
    authOptions=_mapping((), mode={"enum": ["disabled", "token"]}, secretName=_TEXT),
    enableInTreeAutoscaling=_YES,
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
)
_JOB = _mapping(
    (),
    entrypoint=_TEXT,
    backoffLimit=_COUNT,
    shutdownAfterJobFinishes=_YES,
    ttlSecondsAfterFinished=_COUNT,
    runtimeEnvYAML=_TEXT,
    rayClusterSpec=_CLUSTER,
)
_NAME = _mapping(("name",), name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47})
RAY_JOB = _mapping(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=_NAME,
    spec=_JOB,
)
