"""Time as tests want it."""


class Clock:
    """A clock that stands still, but for what a test adds."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float = 10.0) -> None:
        self.seconds += seconds
