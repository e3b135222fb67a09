"""How a request can fail: with an HTTP status and one sentence, on the value, the rule and the remedy."""

BAD, NOT_FOUND, NOT_ALLOWED, TOO_SLOW, TOO_LARGE, NOT_TAKEN, TOO_MANY = 400, 404, 405, 408, 413, 415, 429
FAILED, NOT_IMPLEMENTED, UNAVAILABLE, TIMED_OUT = 500, 501, 503, 504


class RequestError(Exception):
    """Ends a request. status: the HTTP status; `str()` is the sentence."""

    def __init__(self, sentence, status=BAD):
        super().__init__(sentence)
        self.status = status
