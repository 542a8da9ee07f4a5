"""Versions: a draft has no say, one of a type is active, and nothing becomes active unchecked or unrecorded."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.models import MLModelRepository, MLModelRow
from db.training_jobs import MLTrainingJobRepository, TrainingRequest
from db.transaction import Database
from tests.people import MORNING, person, scalar
from tests.trading.past_trades import trades
from trading.artifacts import LIBRARY_VERSION, to_artifact
from trading.features import FeatureParameters
from trading.lessons import MODEL_FEATURES
from trading.predictor import fitted
from trading.predictor_errors import ArtifactRefused, FeatureRefused, ModelRefused
from trading.recipes import LOGISTIC, PRICE_REGRESSOR, VERDICT_CLASSIFIER, Recipe

CLASSIFIER = to_artifact(fitted(trades(), Recipe(algorithm=LOGISTIC)))
REGRESSOR = to_artifact(fitted(trades(), Recipe(PRICE_REGRESSOR, hyperparameters={"max_iter": 5})))


async def stored(database: Database, model_type: str = VERDICT_CLASSIFIER, **changes: Any) -> str:
    """Store a version as a training does."""
    async with database.transaction(None) as session:
        job = await MLTrainingJobRepository(session).request(TrainingRequest(Recipe(model_type), FeatureParameters(10)))
        row = MLModelRow(
            **{
                "model_type": model_type,
                "features": list(MODEL_FEATURES),
                "metrics": {},
                "library_version": LIBRARY_VERSION,
                "training_job_id": job,
            }
            | changes
        )
        data = CLASSIFIER if model_type == VERDICT_CLASSIFIER else REGRESSOR
        return await MLModelRepository(session).store(row, data)


async def activate(database: Database, version: str, model_type: str = VERDICT_CLASSIFIER) -> None:
    async with database.transaction(None) as session:
        await MLModelRepository(session).activate(model_type, version, "ravi", MORNING)


async def retire(database: Database, version: str) -> None:
    async with database.transaction(None) as session:
        await MLModelRepository(session).retire(VERDICT_CLASSIFIER, version, "ravi", MORNING)


async def active(database: Database, model_type: str = VERDICT_CLASSIFIER) -> str | None:
    async with database.reading(None) as session:
        row = await MLModelRepository(session).active(model_type)
        return row.version if row is not None else None


async def change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def test_a_version_is_a_draft_until_somebody_activates_it_and_that_is_recorded(database: Database) -> None:
    assert [await stored(database) for _ in range(2)] == ["v1", "v2"]
    assert await active(database) is None
    await activate(database, "v1")
    await activate(database, "v2")
    assert await active(database) == "v2"
    async with database.reading(None) as session:
        rows = list(await session.execute(text("SELECT actor, action, changes FROM audit_logs ORDER BY id")))
    assert [(row.actor, row.action, row.changes["active"]) for row in rows] == [
        ("ravi", "activate", [None, "v1"]),
        ("ravi", "activate", ["v1", "v2"]),
    ]
    by = "SELECT activated_by || activated_at::text FROM ml_models WHERE is_active"
    assert str(await scalar(database, by)).startswith("ravi2024-01-02")


async def test_activating_the_active_one_changes_and_records_nothing(database: Database) -> None:
    await stored(database)
    await activate(database, "v1")
    async with database.transaction(None) as session:
        later = MORNING + timedelta(days=1)
        await MLModelRepository(session).activate(VERDICT_CLASSIFIER, "v1", "mira", later)
    assert await scalar(database, "SELECT activated_by FROM ml_models") == "ravi"
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 1


async def test_each_type_has_numbers_and_an_active_version_of_its_own(database: Database) -> None:
    assert [await stored(database), await stored(database, PRICE_REGRESSOR)] == ["v1", "v1"]
    await activate(database, "v1")
    await activate(database, "v1", PRICE_REGRESSOR)
    assert (await active(database), await active(database, PRICE_REGRESSOR)) == ("v1", "v1")
    async with database.reading(None) as session:
        assert len(await MLModelRepository(session).named("v1")) == 2


async def test_two_trainings_that_end_at_once_get_two_numbers(database: Database) -> None:
    assert sorted(await asyncio.gather(*(stored(database) for _ in range(4)))) == ["v1", "v2", "v3", "v4"]


async def test_two_activations_at_once_leave_one_active(database: Database) -> None:
    versions = [await stored(database) for _ in range(3)]
    await asyncio.gather(*(activate(database, version) for version in versions))
    assert await scalar(database, "SELECT count(*) FROM ml_models WHERE is_active") == 1
    assert await scalar(database, "SELECT count(*) FROM audit_logs WHERE action = 'activate'") == 3


@pytest.mark.parametrize(
    ("statement", "error", "said"),
    [
        ("UPDATE artifacts SET data = data || '\\x00'::bytea", ArtifactRefused, "do not have the hash"),
        ("UPDATE ml_models SET library_version = '0.1.0'", ArtifactRefused, "scikit-learn 0.1.0 made it"),
        ("UPDATE ml_models SET features = '[\"label\"]'", FeatureRefused, "'label' tell a trade's outcome"),
        ("UPDATE ml_models SET features = '[\"rsi\"]'", ArtifactRefused, "not trained on 1 features"),
        ("UPDATE ml_models SET retired_at = now()", ModelRefused, "it is retired for good"),
        ("UPDATE ml_models SET version = 'v9'", ModelRefused, "there is no such version"),
    ],
)
async def test_a_version_that_fails_a_check_is_not_activated_and_the_old_one_stays(
    database: Database, statement: str, error: type[Exception], said: str
) -> None:
    await stored(database)
    await activate(database, "v1")
    await stored(database, metrics={"new": 1})
    await change(database, f"{statement} {'' if 'artifacts' in statement else 'WHERE NOT is_active'}")
    with pytest.raises(error, match=said):
        await activate(database, "v2")
    assert await active(database) == "v1"
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 1


async def test_an_artefact_of_the_other_type_is_refused(database: Database) -> None:
    await stored(database)
    await stored(database, PRICE_REGRESSOR)
    await change(
        database, f"UPDATE ml_models SET sha256 = (SELECT sha256 FROM ml_models WHERE model_type = '{PRICE_REGRESSOR}')"
    )
    with pytest.raises(ArtifactRefused, match="no verdict_classifier"):
        await activate(database, "v1")


async def test_an_active_version_is_not_retired_and_a_retired_one_never_active_again(database: Database) -> None:
    await stored(database)
    await stored(database)
    await activate(database, "v1")
    with pytest.raises(ModelRefused, match="it is active; activate another first"):
        await retire(database, "v1")
    await activate(database, "v2")
    await retire(database, "v1")
    with pytest.raises(ModelRefused, match="retired"):
        await activate(database, "v1")
    assert await active(database) == "v2"
    assert await scalar(database, "SELECT count(*) FROM audit_logs WHERE action = 'retire' AND actor = 'ravi'") == 1


async def test_a_type_can_be_left_without_an_active_version(database: Database) -> None:
    await stored(database)
    await activate(database, "v1")
    async with database.transaction(None) as session:
        models = MLModelRepository(session)
        assert await models.deactivate(VERDICT_CLASSIFIER, "ravi") == "v1"
        assert await models.deactivate(VERDICT_CLASSIFIER, "ravi") is None
    assert await active(database) is None
    assert await scalar(database, "SELECT count(*) FROM audit_logs WHERE action = 'deactivate'") == 1


async def test_a_pin_counts_for_what_was_activated_once_and_keeps_it_from_being_retired(database: Database) -> None:
    await person(database)
    parameter_hash = str(await scalar(database, "SELECT parameter_hash FROM user_trading_config"))
    for _ in range(3):
        await stored(database)
    await activate(database, "v1")
    await activate(database, "v2")

    async def pinned(version: str) -> list[str]:
        await change(database, f"UPDATE user_trading_config SET ml_enabled = true, ml_model_version = '{version}'")
        async with database.reading(None) as session:
            return [row.version for row in await MLModelRepository(session).pinned(parameter_hash)]

    assert await pinned("v3") == []  # a draft
    assert await pinned("v1") == ["v1"]
    with pytest.raises(ModelRefused, match="1 users have pinned it"):
        await retire(database, "v1")
    await change(database, "UPDATE user_trading_config SET ml_enabled = false")
    await retire(database, "v1")
    assert await pinned("v1") == []  # retired
    async with database.reading(None) as session:
        assert await MLModelRepository(session).pinned("another set") == []
