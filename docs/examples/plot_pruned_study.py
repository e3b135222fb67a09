"""
A study that ends poor trials early
===================================

Optuna suggests learning rates and penalties, a callback reports the score of each epoch to it, and a trial that is
worse than half of the others at that epoch ends. All trials have the same shape, so they share one program.
"""

import warnings

import matplotlib.pyplot as plt
import optuna
from optuna.trial import TrialState
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fcclf import FCClassifier
from fcclf.learning.program import kept_plans

warnings.simplefilter("ignore", ConvergenceWarning)  # 40 epochs are few

X, y = make_moons(1000, noise=0.3, random_state=0)
X_train, X_valid, y_train, y_valid = train_test_split(X, y, random_state=0)


class Pruning:
    """A callback of scikit-learn's: ends the fit where the study prunes its trial."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.trial.report(fitted_estimator.score(X_valid, y_valid), context.task_id)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def objective(trial):
    model = FCClassifier(
        (16, 8),
        learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 1e-1, log=True),
        alpha=trial.suggest_float("alpha", 1e-4, 10, log=True),
        max_iter=40,
        n_iter_no_change=40,
        random_state=0,
    )
    return model.set_callbacks(Pruning(trial)).fit(X_train, y_train).score(X_valid, y_valid)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
)
study.optimize(objective, n_trials=20)
pruned = study.get_trials(states=(TrialState.PRUNED,))
print(f"{len(pruned)} of {len(study.trials)} trials pruned, {len(kept_plans())} program")
print(f"best {study.best_value:.4f} with {study.best_params}")

# %%
# Each line is a trial; pruned trials end in a dot.

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for trial in study.trials:
    epochs, scores = zip(*sorted(trial.intermediate_values.items()), strict=True)
    ended = trial in pruned
    axis.plot(epochs, scores, color="0.75" if ended else "tab:blue", zorder=1 if ended else 2, linewidth=1)
    if ended:
        axis.scatter(epochs[-1], scores[-1], color="0.5", s=12)
axis.set(xlabel="epoch", ylabel="accuracy on held-out data", ylim=(0.75, 0.95))
