"""Optimisers of the Python world as ask/tell peers: one line of JSON in, one out, for as long as the bench asks.

  {"method": "optuna-tpe", "start": [0.2, 0.5], "seed": 1}   begins a run; answers the first positions to try
  {"y": 3.1}                                                 what they gave (log objective, smaller is better); answers the next

An answer is {"ask": [...], "best": [...]}; positions are shares of the knobs' ranges in [0, 1]. Every method starts at the
baseline, since the process does.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")


class OptunaPeer:
    def __init__(self, sampler, start, seed):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        self.study = optuna.create_study(sampler=samplers[sampler](seed=seed))
        self.names = [f"u{i}" for i in range(len(start))]
        self.study.enqueue_trial(dict(zip(self.names, start)))

    def ask(self):
        self.trial = self.study.ask()
        return [self.trial.suggest_float(name, 0.0, 1.0) for name in self.names]

    def tell(self, y):
        self.study.tell(self.trial, y)

    def best(self):
        return [self.study.best_params[name] for name in self.names]


class CmaPeer:
    def __init__(self, start, seed):
        import cma

        options = {"bounds": [0, 1], "seed": seed + 1, "verbose": -9}
        self.strategy = cma.CMAEvolutionStrategy(start, 0.15, options)
        self.waiting, self.asked, self.seen = [], [], []

    def ask(self):
        if not self.waiting:
            if self.asked:
                self.strategy.tell(self.asked, self.seen)
            self.asked, self.seen = self.strategy.ask(), []
            self.waiting = list(self.asked)
        return list(self.waiting.pop(0))

    def tell(self, y):
        self.seen.append(y)

    def best(self):
        return list(self.strategy.mean)


class NevergradPeer:
    def __init__(self, name, start, seed):
        import nevergrad as ng

        space = ng.p.Array(init=start).set_bounds(0, 1)
        space.random_state.seed(seed)
        self.optimizer = ng.optimizers.registry[name](parametrization=space, budget=400)

    def ask(self):
        self.candidate = self.optimizer.ask()
        return [float(u) for u in self.candidate.value]

    def tell(self, y):
        self.optimizer.tell(self.candidate, y)

    def best(self):
        return [float(u) for u in self.optimizer.provide_recommendation().value]


class VizierPeer:
    """Google Vizier's Eagle strategy (fireflies), without its service. Its Gaussian process gives no numbers any more after a few
    suggestions with the versions of JAX that it still imports under."""

    def __init__(self, start, seed):
        import logging

        logging.disable(logging.WARNING)
        from vizier import algorithms, pyvizier
        from vizier._src.algorithms.designers.eagle_strategy.eagle_strategy import EagleStrategyDesigner

        problem = pyvizier.ProblemStatement()
        self.names = [f"u{i}" for i in range(len(start))]
        for knob, u in zip(self.names, start):
            problem.search_space.root.add_float_param(knob, 0.0, 1.0, default_value=u)
        goal = pyvizier.ObjectiveMetricGoal.MINIMIZE
        problem.metric_information.append(pyvizier.MetricInformation(name="y", goal=goal))
        self.vizier, self.completed, self.active = pyvizier, algorithms.CompletedTrials, algorithms.ActiveTrials
        self.designer = EagleStrategyDesigner(problem, seed=seed)
        self.tried, self.waiting, self.best_y, self.best_u = 0, [list(start)], float("inf"), list(start)

    def ask(self):
        if self.waiting:
            self.u = self.waiting.pop()
            parameters = dict(zip(self.names, self.u))
        else:
            parameters = self.designer.suggest(1)[0].parameters
            self.u = [float(parameters.get_value(knob)) for knob in self.names]
        self.tried += 1
        self.trial = self.vizier.Trial(id=self.tried, parameters=parameters)
        return self.u

    def tell(self, y):
        self.trial.complete(self.vizier.Measurement(metrics={"y": y}))
        self.designer.update(self.completed([self.trial]), self.active([]))
        if y < self.best_y:
            self.best_y, self.best_u = y, self.u

    def best(self):
        return self.best_u


class SmacPeer:
    """SMAC3 with its random forest, as for hyperparameters; the objective is noisy, so settings are tried more than once."""

    def __init__(self, start, seed):
        import tempfile
        from pathlib import Path

        from ConfigSpace import ConfigurationSpace, Float
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario

        self.names = [f"u{i}" for i in range(len(start))]
        space = ConfigurationSpace(seed=seed)
        space.add([Float(knob, (0.0, 1.0), default=u) for knob, u in zip(self.names, start)])
        folder = Path(tempfile.mkdtemp(prefix="smac-"))
        scenario = Scenario(space, n_trials=400, seed=seed, output_directory=folder)
        first = Facade.get_initial_design(scenario, additional_configs=[space.get_default_configuration()])
        self.smac = Facade(scenario, lambda config, seed: 0.0, initial_design=first, logging_level=False, overwrite=True)

    def ask(self):
        self.info = self.smac.ask()
        return [float(self.info.config[knob]) for knob in self.names]

    def tell(self, y):
        from smac.runhistory.dataclasses import TrialValue

        self.smac.tell(self.info, TrialValue(cost=y), save=False)

    def best(self):
        config = self.smac.intensifier.get_incumbents()[0]
        return [float(config[knob]) for knob in self.names]


METHODS = {
    "optuna-tpe": lambda start, seed: OptunaPeer("tpe", start, seed),
    "cma": CmaPeer,
    "smac": SmacPeer,
    "vizier-eagle": VizierPeer,
    "nevergrad-1+1": lambda start, seed: NevergradPeer("OptimisticNoisyOnePlusOne", start, seed),
    "nevergrad-tbpsa": lambda start, seed: NevergradPeer("TBPSA", start, seed),
}


def main(asks, answers):
    peer = None
    for line in asks:
        message = json.loads(line)
        if "method" in message:
            peer = METHODS[message["method"]](message["start"], message["seed"])
            best = message["start"]
        else:
            peer.tell(message["y"])
            best = peer.best()
        answers.write(json.dumps({"ask": list(peer.ask()), "best": list(best)}) + "\n")
        answers.flush()


if __name__ == "__main__":
    with open(sys.argv[1]) as asks, open(sys.argv[2], "w") as answers:
        main(asks, answers)
