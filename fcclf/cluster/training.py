"""`train` on a cluster."""

from fcclf.cluster.client import Workers
from fcclf.errors import WorkerLostError
from fcclf.runs import training
from fcclf.runs.training import Outcome


def train(config, path, workers: Workers, *, fresh=False, say=lambda sentence: None, **options) -> Outcome:
    """As `fcclf.runs.training.train`; goes on from the newest checkpoint after a worker was lost and is back, if the
    workers have patience. Raises WorkerLostError if one does not come back."""
    while True:
        try:
            outcome = training.train(config, path, fresh=fresh, say=say, machines=workers, **options)
        except WorkerLostError as lost:
            if workers.patience is None or not (path / "config.json").exists():
                raise
            say(f"{lost}")
            workers.wait(workers.patience)
            fresh = False
        else:
            if not outcome.interrupted:
                workers.over()
            return outcome
