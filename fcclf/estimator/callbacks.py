"""Support for scikit-learn's callbacks (ProgressBar, ScoringMonitor), from its release 1.9 on: an epoch is a task.

They are set by `set_callbacks`, a method of `CallbackSupportMixin`. A fit with callbacks runs epoch by epoch.
"""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before 1.9

    class CallbackSupportMixin:
        """Stands in for the mixin where there are no callbacks."""


class Tasks:
    """The tasks of one fit: the fit itself, begun on construction, and its epochs inside it.

    X, y, sample_weight: as given to fit. attributes(fit): {name: value} of the attributes that the estimator would have
    if the `Fit` ended now.
    """

    def __init__(self, estimator, X, y, sample_weight, attributes):
        self.estimator, self.attributes = estimator, attributes
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.samples = {"X": X, "y": y, "metadata": metadata}
        self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self.root.call_on_fit_task_begin(estimator=estimator, **self.samples)

    def begin_epoch(self):
        """Begins the task of an epoch and returns it."""
        return self.root.subcontext(task_name="epoch").call_on_fit_task_begin(estimator=self.estimator, **self.samples)

    def end_epoch(self, task, fit) -> bool:
        """Ends the task of an epoch. Returns whether a callback asks for the fit to end here."""
        return task.call_on_fit_task_end(
            estimator=self.estimator, **self.samples, reconstruction_attributes=lambda: self.attributes(fit)
        )

    def skip(self, epochs: int):
        """Begins and ends the tasks of epochs that earlier calls trained."""
        for _ in range(epochs):
            task = self.root.subcontext(task_name="epoch")
            task.call_on_fit_task_begin(estimator=self.estimator)
            task.call_on_fit_task_end(estimator=self.estimator)

    def end(self):
        """Ends the task of the fit. The estimator must have its fitted attributes."""
        self.root.call_on_fit_task_end(estimator=self.estimator, **self.samples, reconstruction_attributes={})


def wanted(estimator) -> bool:
    """Whether callbacks are set on the estimator, by the user or by a search around it."""
    return bool(getattr(estimator, "_skl_callbacks", None))
