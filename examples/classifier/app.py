"""A scikit-learn model that is trained once, ahead of its caller, and then predicts and keeps learning in its session.

The data are the 150 iris flowers that scikit-learn ships.
"""

# isort: off
import single_threaded  # noqa: F401  before numpy is loaded
# isort: on

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat
from sklearn.datasets import load_iris  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline, make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput

FEATURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
MAX_LEARNED = 10_000

# Far beyond any flower, and small enough that no sum of squares overflows.
Centimetres = Annotated[FiniteFloat, Field(ge=-1e6, le=1e6)]
Flower = Annotated[
    list[Centimetres],
    Field(
        min_length=len(FEATURES),
        max_length=len(FEATURES),
        description=f"One flower, four numbers in this order: {', '.join(FEATURES)}.",
        examples=[[5.1, 3.5, 1.4, 0.2]],
    ),
]
Label = Annotated[str, Field(min_length=1, max_length=64, description="A class: one that exists, or a new one.")]
Matrix = NDArray[np.float64]
Labels = NDArray[np.object_]


class StrictInput(BaseAppInput):
    model_config = ConfigDict(extra="forbid")


class PredictInput(StrictInput):
    features: Flower


class Prediction(BaseAppOutput):
    label: str = Field(description="The most probable class.")
    probabilities: dict[str, float] = Field(description="The probability of each class, 0 to 1; they add up to 1.")


class PredictManyInput(StrictInput):
    rows: list[Flower] = Field(min_length=1, max_length=1000, description="The flowers, at most 1000.")


class PredictManyOutput(BaseAppOutput):
    predictions: list[Prediction] = Field(description="One for each row, in the same order.")


class Example(StrictInput):
    features: Flower
    label: Label


class LearnInput(StrictInput):
    examples: list[Example] = Field(min_length=1, max_length=1000, description="Labelled flowers, at most 1000.")


class LearnOutput(BaseAppOutput):
    learned: int = Field(description="Examples that this session has added so far.")
    classes: list[str] = Field(description="The classes that the model tells apart now.")
    new_classes: list[str] = Field(description="Those that it did not know before this call.")
    accuracy: float = Field(description="The share of right answers on the held-out flowers after learning, 0 to 1.")


class InfoOutput(BaseAppOutput):
    model: str = Field(description="What kind of model it is.")
    dataset: Literal["iris"] = Field(description="What it was trained on.")
    accuracy: float = Field(description="The share of right answers on the held-out flowers, 0 to 1.")
    training_rows: int = Field(description="Flowers that it was trained on, learned ones included.")
    held_out_rows: int = Field(description="Flowers that were kept away from training, to measure the accuracy with.")
    learned: int = Field(description="Examples that this session has added.")
    feature_names: list[str] = Field(description="What the numbers of a flower mean, in their order.")
    classes: list[str] = Field(description="The classes that the model tells apart.")


class App(BaseApp):
    """One model for each worker: what a session teaches it, only that session sees."""

    def setup(self) -> None:
        data = load_iris()
        labels = data.target_names[data.target].astype(object)
        split = train_test_split(data.data, labels, test_size=0.3, random_state=0, stratify=labels)
        self._features, self._test_features, self._labels, self._test_labels = split
        self._base_rows = len(self._labels)
        self._model = _trained(self._features, self._labels)

    def predict(self, input: PredictInput) -> Prediction:
        """Classify one flower."""
        return self._predictions([input.features])[0]

    def predict_many(self, input: PredictManyInput) -> PredictManyOutput:
        """Classify many flowers at once."""
        return PredictManyOutput(predictions=self._predictions(input.rows))

    def learn(self, input: LearnInput) -> LearnOutput:
        """Add labelled flowers to this session's training data and train the model again. A new label is a new class.

        Raises ValueError, and learns nothing, beyond 10,000 examples in one session.
        """
        if self._learned + len(input.examples) > MAX_LEARNED:
            raise ValueError(f"a session learns at most {MAX_LEARNED} examples, and has {self._learned}")
        known = set(self._classes)
        features = np.vstack([self._features, [example.features for example in input.examples]])
        labels = np.append(self._labels, np.array([example.label for example in input.examples], dtype=object))
        # Trained before anything is replaced: if this fails, the model and the data stay as they were.
        self._model = _trained(features, labels)
        self._features, self._labels = features, labels
        new = [label for label in self._classes if label not in known]
        return LearnOutput(learned=self._learned, classes=self._classes, new_classes=new, accuracy=self._accuracy())

    def info(self) -> InfoOutput:
        """Describe the model: how good it is, what it was trained on, what it takes and what it answers."""
        return InfoOutput(
            model="logistic regression on standardised features",
            dataset="iris",
            accuracy=self._accuracy(),
            training_rows=len(self._labels),
            held_out_rows=len(self._test_labels),
            learned=self._learned,
            feature_names=FEATURES,
            classes=self._classes,
        )

    @property
    def _learned(self) -> int:
        return len(self._labels) - self._base_rows

    @property
    def _classes(self) -> list[str]:
        return [str(label) for label in self._model.classes_]

    def _accuracy(self) -> float:
        return float(self._model.score(self._test_features, self._test_labels))

    def _predictions(self, rows: list[list[float]]) -> list[Prediction]:
        classes = self._classes
        return [
            Prediction(label=classes[int(row.argmax())], probabilities=dict(zip(classes, row.tolist(), strict=True)))
            for row in self._model.predict_proba(np.array(rows))
        ]


def _trained(features: Matrix, labels: Labels) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)
