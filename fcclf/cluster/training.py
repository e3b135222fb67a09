"""`train` on a cluster."""

from fcclf.cluster.client import Workers
from fcclf.errors import WorkerLostError
from fcclf.runs import training
from fcclf.runs.training import Outcome


def train(config, path, workers: Workers, *, fresh=False, say=lambda sentence: None, **options) -> Outcome:
    """Trains as `fcclf.runs.training.train` does. If the workers have patience, a worker that was lost is waited for,
    and training resumes from the newest checkpoint. Raises RunError if it does not come back."""
    while True:
        try:
            outcome = training.train(config, path, fresh=fresh, say=say, machines=workers, **options)
        except WorkerLostError as lost:
            if workers.patience is None:
                raise
            say(f"{lost.what}: all that was saved stays; waiting {workers.patience:g} s for it to come back")
            workers.wait(workers.patience)
            fresh = fresh and not workers.gathered  # the run was begun
        else:
            if not outcome.interrupted:
                workers.over()
            return outcome
