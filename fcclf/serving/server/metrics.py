"""What Prometheus reads at /metrics, counted by its client library in a separate registry."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


class Metrics:
    """The counters of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self):
        self.registry = CollectorRegistry()
        ours = {"registry": self.registry}
        ProcessCollector(**ours)
        self.requests = Counter("fcclf_requests", "Requests answered.", ["kind", "code"], **ours)
        self.seconds = Histogram("fcclf_request_seconds", "From head to answer.", ["kind"], buckets=SECONDS, **ours)
        self.begun = Gauge("fcclf_requests_begun", "Requests begun and not answered.", **ours)
        self.rows = Counter("fcclf_rows", "Rows answered.", **ours)
        self.batch_rows = Histogram("fcclf_batch_rows", "Rows of a call.", buckets=SIZES, **ours)
        self.batch_requests = Histogram("fcclf_batch_requests", "Requests of a call.", buckets=SIZES, **ours)
        self.loads = Counter("fcclf_versions", "Versions taken up or refused.", ["outcome"], **ours)
        self.version = Gauge("fcclf_version", "The version that answers.", **ours)

    def computed(self, requests: int, rows: int):
        """Counts a call of the model."""
        self.rows.inc(rows)
        self.batch_rows.observe(rows)
        self.batch_requests.observe(requests)

    def answered(self, kind: str, code: int, seconds: float):
        """Counts an answered request. kind: one of a few."""
        self.requests.labels(kind, str(code)).inc()
        self.seconds.labels(kind).observe(seconds)

    def heard(self, loaded: bool):
        """Counts a version that was loaded or refused."""
        self.loads.labels("loaded" if loaded else "refused").inc()

    def text(self) -> bytes:
        """All metrics in the format that Prometheus reads."""
        return generate_latest(self.registry)
