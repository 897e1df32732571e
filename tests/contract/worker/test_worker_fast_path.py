"""Which way a model is asked, what joins, and what happens when the fast path is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.types import ColSpec, DataType, Schema
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tests.contract.worker.fast_models import alone, library_model, model_of, split_body

from headgate_worker.decoding import JSON
from headgate_worker.proving import BATCHING, NATIVE_PREDICT
from headgate_worker.rows import Rows
from headgate_worker.scoring import Scorer

pytestmark = pytest.mark.filterwarnings("ignore")
RANDOM = np.random.default_rng(0)
FLOATS = pd.DataFrame(RANDOM.normal(size=(300, 4)), columns=list("abcd"))
TARGET = FLOATS.sum(axis=1)
CLASS = np.where(TARGET > 0, "high", "low")
TWO = Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b")])


def twice(values: Any) -> Any:
    return values * 2


class Mine(LinearRegression):
    """A class of the user's own."""


def proven(estimator: Any, flavor: str = "sklearn", checked_fraction: float = 0.0) -> Scorer:
    scorer = Scorer(library_model(estimator, FLOATS, flavor), checked_fraction)
    scorer.prove(split_body(FLOATS.iloc[:1]))
    return scorer


def read(scorer: Scorer, body: Any) -> Rows:
    rows = scorer.rows(JSON, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert rows is not None
    return rows


def requests(scorer: Scorer, count: int = 8) -> list[Rows]:
    """One of each length."""
    return [read(scorer, split_body(FLOATS.iloc[number : 2 * number + 1])) for number in range(count)]


def boosted(flavor: str, kind: str) -> Any:
    import lightgbm
    import xgboost

    if flavor == "xgboost":
        matrix = xgboost.DMatrix(FLOATS, TARGET)
        return (
            xgboost.train({}, matrix, 5)
            if kind == "Booster"
            else xgboost.XGBRegressor(n_estimators=5).fit(FLOATS, TARGET)
        )
    if kind == "Booster":
        return lightgbm.train({"verbose": -1}, lightgbm.Dataset(FLOATS, TARGET), 5)
    made = getattr(lightgbm, kind)(n_estimators=5, verbose=-1)
    return made.fit(FLOATS, CLASS if kind == "LGBMClassifier" else TARGET)


@pytest.mark.parametrize(
    ("flavor", "kind"),
    [
        *(("xgboost", kind) for kind in ("Booster", "XGBRegressor")),
        *(("lightgbm", kind) for kind in ("Booster", "LGBMRegressor", "LGBMClassifier")),
    ],
)
def test_boosted_trees_are_asked_without_mlflow_and_answer_the_same(flavor: str, kind: str) -> None:
    scorer = proven(boosted(flavor, kind), flavor)
    assert scorer.is_native and scorer.joins
    batch = requests(scorer)
    batch.append(read(scorer, {"inputs": {"a": None, "b": 1, "c": 0.5, "d": 1e38}}))
    expected = [alone(scorer, rows.body) for rows in batch]
    assert [scorer.answer([rows])[0] for rows in batch] == expected == scorer.answer(batch)


def test_a_bad_row_fails_its_own_request_only_with_the_message_it_gets_alone() -> None:
    scorer = proven(LogisticRegression().fit(FLOATS, CLASS))
    batch = [*requests(scorer, 3), read(scorer, {"inputs": {"a": None, "b": 1, "c": 2, "d": 3}}), *requests(scorer, 2)]
    answers = scorer.answer(batch)
    assert answers == [alone(scorer, rows.body) for rows in batch]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 200]
    assert b"NaN" in answers[3].body and b"During handling" not in answers[3].body


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(FunctionTransformer(twice), LinearRegression()).fit(FLOATS, TARGET),
        Mine().fit(FLOATS, TARGET),
        DummyClassifier(strategy="stratified").fit(FLOATS, CLASS),
    ],
    ids=["a function of the user's", "a class of the user's", "another answer each time"],
)
def test_what_runs_other_code_than_the_librarys_or_chance_is_left_to_mlflow(estimator: Any) -> None:
    scorer = proven(estimator)
    assert not scorer.is_native and not scorer.joins
    assert len(scorer.answer(requests(scorer, 1))) == 1


def test_rows_that_influence_each_others_rounding_are_predicted_one_after_the_other() -> None:
    scorer = proven(LinearRegression().fit(FLOATS, TARGET))
    assert scorer.joins
    batch = requests(scorer)
    assert scorer.answer(batch) == [alone(scorer, rows.body) for rows in batch]


@pytest.mark.parametrize(
    "estimator", [LinearRegression(), LogisticRegression(), RandomForestClassifier(5, random_state=0)]
)
def test_a_model_of_a_matrix_is_native_too(estimator: Any) -> None:
    matrix = FLOATS.to_numpy()
    scorer = Scorer(library_model(estimator.fit(matrix, TARGET > 0), matrix), 0.0)
    assert scorer.prove(split_body(matrix[:1])).way == "native"
    batch = [read(scorer, split_body(matrix[number : 2 * number + 1])) for number in range(6)]
    expected = [alone(scorer, rows.body) for rows in batch]
    assert scorer.joins
    assert [scorer.answer([rows])[0] for rows in batch] == expected == scorer.answer(batch)


def test_many_rows_and_forests_of_several_threads_answer_as_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = RandomForestClassifier(5, random_state=0, n_jobs=2).fit(FLOATS, CLASS)
    scorer = proven(forest)
    assert scorer.is_native and scorer.joins and forest.n_jobs == 2
    many = read(scorer, split_body(pd.concat([FLOATS] * 10)))
    assert many.count == 3000
    assert scorer.answer([many]) == [alone(scorer, many.body)]


def test_the_entitys_variables_switch_the_native_predict_and_joining_off(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = LogisticRegression().fit(FLOATS, CLASS)
    monkeypatch.setenv(BATCHING, "off")
    scorer = proven(estimator)
    assert scorer.is_native and not scorer.joins
    monkeypatch.setenv(NATIVE_PREDICT, "OFF")
    scorer = proven(estimator)
    assert not scorer.is_native and not scorer.joins
    rows = read(scorer, split_body(FLOATS.iloc[:2]))
    assert scorer.answer([rows]) == [alone(scorer, rows.body)]


class Counts:
    """A model of the user's own that says how it was called."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[int] = []
        self.answer = answer

    def predict(self, model_input: Any, params: Any = None) -> Any:
        self.calls.append(len(model_input))
        if (model_input["a"] < 0).any():
            raise ValueError("negative")
        model_input.columns.name = "mine"
        return self.answer or [
            f"{text}{number}" for number, text in zip(model_input["a"], model_input["b"], strict=True)
        ]


def of_mine(scorer: Scorer, *numbers: float) -> Rows:
    return read(scorer, {"dataframe_records": [{"a": number, "b": "x"} for number in numbers]})


def test_a_users_model_is_joined_only_if_its_owner_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counts()
    scorer = Scorer(model_of(TWO, model))
    assert scorer.prove(None).way == "compiled" and not scorer.joins
    monkeypatch.setenv(BATCHING, "on")
    scorer = Scorer(model_of(TWO, model))
    scorer.prove(None)
    assert scorer.joins and not scorer.is_native and not model.calls
    batch = [of_mine(scorer, 1.0, 2.0), of_mine(scorer, 3.0)]
    answers = scorer.answer(batch)
    assert model.calls == [3]
    assert [json.loads(answer.body) for answer in answers] == [
        {"predictions": ["x1.0", "x2.0"]},
        {"predictions": ["x3.0"]},
    ]


def test_a_users_model_is_called_once_for_a_request_even_if_it_fails() -> None:
    model = Counts()
    scorer = Scorer(model_of(TWO, model))
    scorer.prove(None)
    (failed,) = scorer.answer([of_mine(scorer, -1.0)])
    (good,) = scorer.answer([of_mine(scorer, 1.0)])
    assert (failed.status, good.status, model.calls) == (400, 200, [1, 1])
    assert "ValueError: negative" in json.loads(failed.body)["stack_trace"]


def test_what_a_model_does_to_its_frame_is_not_seen_by_the_next_request() -> None:
    seen = []

    class Renames:
        def predict(self, model_input: Any, params: Any = None) -> Any:
            seen.append(model_input.columns.name)
            model_input.columns.name = "mine"
            model_input.iloc[0, 0] = -1.0
            return [0]

    scorer = Scorer(model_of(Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b")]), Renames()))
    scorer.prove(None)
    rows = read(scorer, {"inputs": {"a": 1, "b": 2}})
    scorer.answer([rows])
    scorer.answer([rows])
    assert seen == [None, None]


def test_joining_ends_when_predictions_do_not_come_one_per_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(BATCHING, "on")
    scorer = Scorer(model_of(TWO, Counts({"whole": 1})))
    scorer.prove(None)
    answers = scorer.answer([of_mine(scorer, 1.0), of_mine(scorer, 2.0)])
    assert [json.loads(answer.body) for answer in answers] == [{"predictions": {"whole": 1}}] * 2
    assert not scorer.joins
    assert "no longer joined" in capsys.readouterr().err


def test_a_fast_path_that_is_found_wrong_is_switched_off_and_the_client_gets_mlflows_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    estimator = LinearRegression().fit(FLOATS, TARGET)
    scorer = proven(estimator, checked_fraction=1.0)
    batch = requests(scorer, 3)
    scorer.answer(batch)
    assert scorer.is_native and scorer.mismatches == 0
    estimator.coef_ = estimator.coef_ * 2  # the fast path holds the old ones
    expected = [alone(scorer, rows.body) for rows in batch]
    assert scorer.answer(batch) == expected
    assert not scorer.is_native and not scorer.joins and scorer.mismatches == 1
    assert scorer.rows(JSON, batch[0].body) is None
    assert scorer.answer(batch) == expected
    assert capsys.readouterr().err.count("The fast path gave another answer") == 1


def test_only_joining_ends_when_only_joining_is_wrong() -> None:
    scorer = proven(LogisticRegression().fit(FLOATS, TARGET > 0), checked_fraction=1.0)
    fast = scorer._fast
    assert fast is not None and fast.is_joint
    scorer._fast = fast._replace(predict=lambda values: fast.predict(values) ^ (len(values) > 1))
    batch = requests(scorer, 1) * 3
    expected = [alone(scorer, rows.body) for rows in batch]
    assert scorer.answer(batch) == expected
    assert scorer.is_native and not scorer.joins and scorer.mismatches == 1
