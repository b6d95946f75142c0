"""Optuna's NSGA-II, a genetic algorithm for several objectives (Deb et al. 2002)."""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from tune.search.samplers.optuna_samplers import NUMBER, OptunaSampler
from tune.search.samplers.sampler import Task
from tune.spec.options.samplers import Nsga2Spec


class GenerationsByNumber(NSGAIISampler):
    """NSGA-II whose generations follow from the numbers of the trials.

    Optuna's notes them in the study as trials are asked for, so that they depend on which worker asked first. Trials
    that have not ended, or cannot be used, are no parents.
    """

    def __init__(self, population: int, number: int, seed: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._size, self._generation = population, number // population
        self._parents: list[list[FrozenTrial]] = [[]]

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """That of the trial asked for."""
        return self._generation

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The trials of a generation that have ended."""
        trials = super().get_population(study, None)  # type: ignore[arg-type]  # Optuna notes none
        return [trial for trial in trials if max(trial.user_attrs[NUMBER], 0) // self._size == generation]

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The best of all earlier generations; none where they are too few to be crossed."""
        for one in range(len(self._parents), generation + 1):
            known = self.get_population(study, one - 1) + self._parents[-1]
            self._parents.append(self.select_parent(study, one) if known else [])
        return self._parents[generation] if generation < self._generation or len(self._parents[-1]) > 1 else []


def nsga2(task: Task) -> OptunaSampler:
    """Crosses the best trials so far. Trials that were stopped early count with their best value."""
    assert isinstance(task.spec, Nsga2Spec)
    population = task.spec.population

    def make(task: Task, number: int, seed: int) -> BaseSampler:
        return GenerationsByNumber(population, number, seed)

    return OptunaSampler(task, make, startup=population, pruned=False)
