"""The exception of figures that have nothing to show."""


class NothingToShow(Exception):
    """Its message is the sentence that stands where the figure would."""
