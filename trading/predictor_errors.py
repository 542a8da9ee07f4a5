"""The errors of training and of trained models.

PredictorError
├── FeatureRefused    refuse: a column that is not known when the decision is made
├── LessonsRefused    refuse: a file of past trades that cannot be used
├── RecipeRefused     refuse: a model type, algorithm or hyperparameter there is none of
├── TrainingRefused   refuse: too little to learn from
├── ModelRefused      refuse: a version that cannot be activated or retired
└── ArtifactRefused   stop: bytes that are not a model of ours
"""

# ruff: noqa: N818 - a name says what happened; the tree says that it is an error

from collections.abc import Sequence

from trading.errors import TradingError


class PredictorError(TradingError):
    """Any error of the predictor."""


class FeatureRefused(PredictorError):
    """Columns outside the allow-list. outcomes: known only afterwards; unknown: nobody has vouched for them."""

    def __init__(self, outcomes: Sequence[str], unknown: Sequence[str], allowed: Sequence[str]) -> None:
        self.outcomes, self.unknown = tuple(outcomes), tuple(unknown)
        said = []
        if outcomes:
            said.append(f"{_quoted(outcomes)} tell a trade's outcome and are not known at the decision")
        if unknown:
            said.append(f"{_quoted(unknown)} are not on the list of features")
        super().__init__(f"features {', and '.join(said)}; use only: {', '.join(allowed)}")


class LessonsRefused(PredictorError):
    """A file of past trades that cannot be used. line: 1 is the header, 0 the file as a whole."""

    def __init__(self, line: int, problem: str, cure: str) -> None:
        self.line, self.problem, self.cure = line, problem, cure
        where = f"line {line}: " if line else ""
        super().__init__(f"past trades: {where}{problem}; {cure}")


class RecipeRefused(PredictorError):
    """A way to train that does not exist. field: what is wrong; known: what there is."""

    def __init__(self, field: str, value: object, known: str) -> None:
        self.field, self.value, self.known = field, value, known
        super().__init__(f"{field} {value!r}: use {known}")


class TrainingRefused(PredictorError):
    """Too little to learn from. count: what there is of it."""

    def __init__(self, what: str, count: int, needed: int) -> None:
        self.what, self.count, self.needed = what, count, needed
        super().__init__(f"{count} {what}, {needed} needed; train on more symbols or a longer past")


class ModelRefused(PredictorError):
    """A version that cannot be used that way. The reason names the cure."""

    def __init__(self, model_type: str, version: str, reason: str) -> None:
        self.model_type, self.version, self.reason = model_type, version, reason
        super().__init__(f"{model_type} {version}: {reason}")


class ArtifactRefused(PredictorError):
    """Bytes that are not a model of ours, or that could harm the process that loads them."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"model artefact refused: {reason}; train the model again")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
