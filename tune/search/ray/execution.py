"""Let Ray Tune run a driver's trials."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ray import tune as ray_tune

from tune.buckets.address import shown
from tune.record.search_yaml import made_with
from tune.search.driver import Driver
from tune.search.ray.adapters import DriverScheduler, DriverSearcher, Halt, Watch
from tune.search.ray.nodes import NodeImages
from tune.search.ray.patch import callbacks_uncounted, workers_may_die
from tune.search.ray.resources import TrialResources
from tune.search.ray.trial_worker import TrialWorker
from tune.search.worker.messages import Job


def execute(
    driver: Driver,
    resources: TrialResources,
    root: Path,
    worker: type[TrialWorker] = TrialWorker,
    images: NodeImages | None = None,
) -> None:
    """Run trials until the driver is done or halts.

    Args:
        driver: Of the search.
        resources: What a trial reserves.
        root: The data directory.
        worker: What runs the trials.
        images: Which nodes have the images; None where all do.
    """
    spec = driver.ledger.spec
    job = Job(
        base=spec.base,
        folder=shown(driver.ledger.folder.path.absolute()),
        root=str(root.absolute()),
        metric=spec.search.objective.metric.name,
        epochs=spec.epochs,
        gpu=resources.gpu,
        data=made_with(driver.ledger.folder).get("data", ""),
        images=images.sent if images else None,
    )

    def placement() -> ray_tune.PlacementGroupFactory:
        return ray_tune.PlacementGroupFactory([dict(resources.amounts)], **(images.selector() if images else {}))

    trainable = ray_tune.with_resources(ray_tune.with_parameters(worker, job=job), placement())
    scratch = tempfile.mkdtemp(prefix="imagetune-")  # Tune's own files: nobody reads them
    try:
        searcher = DriverSearcher(driver, resources.room_for)
        tuner = ray_tune.Tuner(
            trainable,
            tune_config=ray_tune.TuneConfig(
                search_alg=searcher,
                scheduler=DriverScheduler(driver, searcher, placement, images),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=ray_tune.RunConfig(
                name="run",
                storage_path=scratch,
                verbose=0,
                stop=Halt(driver),
                callbacks=[Watch(driver, searcher)],
                failure_config=ray_tune.FailureConfig(max_failures=0),
                checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),  # the worker writes its own
            ),
        )
        with workers_may_die(), callbacks_uncounted():
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
