"""The errors that a user can do something about. Each message is one sentence: the value, the rule, the remedy."""


class ConfigError(ValueError):
    """A setting breaks its rule. `str()` names the setting; `problem` is the sentence without that name."""

    def __init__(self, setting_name, problem):
        super().__init__(f"{setting_name} {problem}")
        self.setting_name = setting_name
        self.problem = problem


class RunError(RuntimeError):
    """A run cannot start or continue. What it has committed is untouched."""


class DivergedError(RunError):
    """The loss or a variable became NaN or infinite."""


class WorkerLostError(RunError):
    """A machine that takes part in training is lost. what: the sentence without its remedy."""

    def __init__(self, what):
        remedy = "all that was saved stays; to go on, start the worker again and run the same command."
        super().__init__(f"{what}: {remedy}")
        self.what = what
