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


METHODS = {
    "optuna-tpe": lambda start, seed: OptunaPeer("tpe", start, seed),
    "cma": CmaPeer,
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
