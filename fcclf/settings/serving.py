"""The settings of a server: the model's name, the address to listen at, and the limits of requests."""

from dataclasses import dataclass

from fcclf.settings.fields import Section, setting


@dataclass(frozen=True)
class Serving(Section):
    """How requests over HTTP are answered with the newest version of an exported model."""

    host: str = setting("127.0.0.1", "the address to listen at; 0.0.0.0 is every address of the machine")
    port: int = setting(8501, "the port to listen at; 0 takes a free one", at_least=0, at_most=65535)
    name: str | None = setting(None, "the model's name in addresses (default: the directory's)", metavar="NAME")
    threads: int = setting(
        0, "CPU threads of the model; 0: as many as its run had, or 1 if that is not known", at_least=0, at_most=1024
    )
    max_body: int = setting(16_000_000, "largest body of a request in bytes; else 413", at_least=1, at_most=2**31)
    max_rows: int = setting(10_000, "most rows in a request; else 413", at_least=1, at_most=10**9)
    max_concurrent: int = setting(512, "most requests begun and not answered; else 429", at_least=1, at_most=10**6)
    timeout: float = setting(30.0, "seconds in which a request is answered; else 504", above=0, at_most=86400)
    batch_window: float = setting(
        2.0, "milliseconds in which requests are joined into one batch; 0: none is", at_least=0, at_most=1000
    )
    max_batch: int = setting(1024, "most rows in a batch of several requests; 0: no batches", at_least=0, at_most=10**9)
