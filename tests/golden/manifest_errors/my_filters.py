"""Steps that custom_steps.yaml names wrongly."""

from pipeline.step import RowStep


class Shout(RowStep):
    max_ratio: float = 0.5
