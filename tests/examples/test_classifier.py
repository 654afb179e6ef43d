"""The classifier example."""

from typing import Any

import pydantic
import pytest

from tests.examples.conftest import StartApp

pytest.importorskip("sklearn", reason="scikit-learn (dependency group `examples`) is not installed")

SETOSA = [5.1, 3.5, 1.4, 0.2]
VIRGINICA = [6.9, 3.1, 5.4, 2.1]
NEVER_SEEN = [20.0, 20.0, 20.0, 20.0]


async def test_a_prediction_names_the_class_and_the_probability_of_each(start_app: StartApp) -> None:
    async with start_app("classifier") as app:
        answer = await app.call("predict", {"features": SETOSA})
    assert answer["label"] == "setosa"
    assert set(answer["probabilities"]) == {"setosa", "versicolor", "virginica"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert max(answer["probabilities"], key=answer["probabilities"].get) == "setosa"


async def test_many_rows_are_answered_in_their_order(start_app: StartApp) -> None:
    async with start_app("classifier") as app:
        answer = await app.call("predict_many", {"rows": [VIRGINICA, SETOSA, VIRGINICA]})
        alone = await app.call("predict", {"features": SETOSA})
    assert [row["label"] for row in answer["predictions"]] == ["virginica", "setosa", "virginica"]
    assert answer["predictions"][1]["probabilities"] == pytest.approx(alone["probabilities"])


async def test_info_tells_the_accuracy_on_flowers_that_were_held_out(start_app: StartApp) -> None:
    async with start_app("classifier") as app:
        info = await app.call("info")
    assert 0.9 < info["accuracy"] <= 1
    assert info["training_rows"] + info["held_out_rows"] == 150
    assert len(info["feature_names"]) == 4
    assert info["classes"] == ["setosa", "versicolor", "virginica"]
    assert info["learned"] == 0


async def test_the_features_are_those_of_the_data_set_in_its_order(start_app: StartApp) -> None:
    from sklearn.datasets import load_iris  # type: ignore[import-untyped]  # noqa: PLC0415  absent where the module is skipped

    async with start_app("classifier") as app:
        assert (await app.call("info"))["feature_names"] == load_iris().feature_names


async def test_what_a_session_learns_changes_its_later_predictions(start_app: StartApp) -> None:
    examples = [{"features": [20.0 + step / 10, 20.0, 20.0, 20.0], "label": "sunflower"} for step in range(10)]
    async with start_app("classifier") as app:
        assert (await app.call("predict", {"features": NEVER_SEEN}))["label"] != "sunflower"
        answer = await app.call("learn", {"examples": examples})
        assert answer["learned"] == 10
        assert answer["new_classes"] == ["sunflower"]
        assert (await app.call("predict", {"features": NEVER_SEEN}))["label"] == "sunflower"
        assert (await app.call("predict", {"features": SETOSA}))["label"] == "setosa"
        assert (await app.call("learn", {"examples": examples[:1]}))["new_classes"] == []
        info = await app.call("info")
    assert (info["learned"], info["held_out_rows"]) == (11, 45)
    assert "sunflower" in info["classes"]


async def test_another_instance_has_not_learned_it(start_app: StartApp) -> None:
    async with start_app("classifier") as teacher, start_app("classifier") as other:
        await teacher.call("learn", {"examples": [{"features": NEVER_SEEN, "label": "sunflower"}]})
        assert "sunflower" not in (await other.call("info"))["classes"]


async def test_learning_beyond_the_limit_is_refused_and_changes_nothing(start_app: StartApp) -> None:
    batch = {"examples": [{"features": SETOSA, "label": "setosa"}] * 1000}
    async with start_app("classifier") as app:
        for _ in range(10):
            await app.call("learn", batch)
        with pytest.raises(ValueError, match="at most 10000 examples"):
            await app.call("learn", {"examples": batch["examples"][:1]})
        assert (await app.call("info"))["learned"] == 10_000


@pytest.mark.parametrize(
    ("function", "input", "path"),
    [
        ("predict", {"features": SETOSA[:3]}, ("features",)),
        ("predict", {"features": [*SETOSA, 1.0]}, ("features",)),
        ("predict", {"features": []}, ("features",)),
        ("predict", {"features": [5.1, "wide", 1.4, 0.2]}, ("features", 1)),
        ("predict", {"features": [5.1, 3.5, 1.4, 1e300]}, ("features", 3)),
        ("predict", {}, ("features",)),
        ("predict_many", {"rows": [SETOSA, SETOSA[:2]]}, ("rows", 1)),
        ("predict_many", {"rows": []}, ("rows",)),
        ("learn", {"examples": [{"features": SETOSA, "label": ""}]}, ("examples", 0, "label")),
    ],
)
async def test_a_wrong_input_is_refused_with_the_path_to_it(
    start_app: StartApp, function: str, input: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    async with start_app("classifier") as app:
        with pytest.raises(pydantic.ValidationError) as refused:
            await app.call(function, input)
    assert refused.value.errors()[0]["loc"] == path
