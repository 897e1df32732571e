"""Endpoints and their generations. The API writes wishes here, control writes what became of them.

A generation whose outcome is known never changes again: reading all endpoints reads only those that are new.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome
from headgate.domain.following import Target, Targets
from headgate.domain.grants import CAN_MANAGE, ENDPOINT, Securable
from headgate.store import grants, inference_tables, served_entity_history, served_models, tables
from headgate.store.database import Database, revision_within

_E = tables.endpoints
_G = tables.generations
_AT_ONCE = 200
"""Generations read with one query; databases limit a query's parameters."""

_ROUTED = frozenset({"ai_gateway", "rate_limits", "budget_policy_id"})
"""Columns that servers are to hear of when they change."""

_Place = tuple[str, int]
"""(endpoint id, number)."""


Hold = Callable[[sa.Connection, EndpointConfig], None]


def hold_nothing(_connection: sa.Connection, _config: EndpointConfig) -> None:
    """For those who deploy what no registry has."""


Seal = Callable[[EndpointConfig], EndpointConfig]
"""Puts what is secret in a config under seal."""


class Endpoints:
    """Repository of the endpoint aggregate. Every method is one transaction."""

    def __init__(self, database: Database, hold: Hold = hold_nothing) -> None:
        """`hold`: called in every transaction that wishes for a config; raises when it cannot be deployed any more."""
        self._database = database
        self._hold = hold
        self._settled: Mapping[_Place, Generation] = {}
        """Of the endpoints when all were read last."""

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Endpoint:
        """The endpoint of that name. Raises ResourceDoesNotExist."""
        found, _ = self._select(_E.c.name == name, {})
        if not found:
            raise errors.ResourceDoesNotExist(f"Serving endpoint with name {name} not found")
        return found[0]

    def by_id(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint of that id, unless it is deleted."""
        found, _ = self._select(sa.and_(_E.c.id == endpoint_id, _E.c.deleted_at.is_(None)), {})
        return found[0] if found else None

    def all(self) -> list[Endpoint]:
        """All that are not deleted, by name."""
        return self._all(_E.c.deleted_at.is_(None))

    def everything(self) -> list[Endpoint]:
        """Also those being deleted: what control looks at."""
        return self._all(sa.true())

    def generation(self, endpoint_id: str, number: int) -> Generation | None:
        """One config version, current or past."""
        with self._database.read() as connection:
            query = sa.select(_G).where(_G.c.endpoint_id == endpoint_id, _G.c.number == number)
            row = connection.execute(query).one_or_none()
        return None if row is None else _generation(row)

    def served_before(self, endpoint_id: str, number: int) -> Generation | None:
        """The generation that served when this one took over; None when it was the first."""
        earlier = sa.and_(_G.c.endpoint_id == endpoint_id, _G.c.number < number, _G.c.outcome == Outcome.ACTIVE.value)
        with self._database.read() as connection:
            row = connection.execute(sa.select(_G).where(earlier).order_by(_G.c.number.desc()).limit(1)).one_or_none()
        return None if row is None else _generation(row)

    def locks(self, endpoint_id: str) -> Mapping[str, str]:
        """Environments that earlier generations were given: deployment key -> lock. The newest wins; only the last 50 count."""
        served = sa.and_(_G.c.endpoint_id == endpoint_id, _G.c.outcome == Outcome.ACTIVE.value)
        newest = sa.select(_G).where(served).order_by(_G.c.number.desc()).limit(50)
        with self._database.read() as connection:
            generations = [_generation(row) for row in connection.execute(newest)]
        return {
            entity.deployment_key(endpoint_id): generation.locks[entity.name]
            for generation in reversed(generations)
            for entity in generation.config.served_entities
            if entity.name in generation.locks
        }

    def _all(self, where: sa.ColumnElement[bool]) -> list[Endpoint]:
        found, generations = self._select(where, self._settled)
        self._settled = {place: one for place, one in generations.items() if one.outcome is not Outcome.PENDING}
        return found

    def _select(
        self, where: sa.ColumnElement[bool], known: Mapping[_Place, Generation]
    ) -> tuple[list[Endpoint], Mapping[_Place, Generation]]:
        """Endpoints by name, and their generations: those in `known`, and the others read."""
        query = sa.select(_E).where(where).order_by(sa.func.coalesce(_E.c.name, _E.c.deleted_name))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            places = {(row.id, number) for row in rows for number in (row.wanted_generation, row.serving_generation)}
            generations = {place: known[place] for place in places & known.keys()}
            missing = sorted(place for place in places - known.keys() if place[1] is not None)
            for start in range(0, len(missing), _AT_ONCE):
                these = sa.tuple_(_G.c.endpoint_id, _G.c.number).in_(missing[start : start + _AT_ONCE])
                for row in connection.execute(sa.select(_G).where(these)):
                    generations[row.endpoint_id, row.number] = _generation(row)
        return [_endpoint(row, generations) for row in rows], generations

    # -- wishes (api) --------------------------------------------------------------------------------------------

    def create(self, endpoint: Endpoint, manager: str | None = None, seal: Seal | None = None) -> Endpoint:
        """Inserts it, with its wanted generation if it has one, and CAN_MANAGE for the principal `manager`. As it was written.

        Raises ResourceAlreadyExists.
        """
        try:
            with self._database.write(*_topics(seal)) as connection:
                if endpoint.wanted is not None and seal is not None:
                    sealed = dataclasses.replace(endpoint.wanted, config=seal(endpoint.wanted.config))
                    endpoint = dataclasses.replace(endpoint, wanted=sealed)
                connection.execute(sa.insert(_E).values(_row(endpoint)))
                if endpoint.wanted is not None:
                    self._hold(connection, endpoint.wanted.config)
                    connection.execute(sa.insert(_G).values(_generation_row(endpoint.id, endpoint.wanted)))
                kept = inference_tables.wanted(endpoint.name, endpoint.ai_gateway, _capture(endpoint))
                inference_tables.claim_within(connection, endpoint.id, kept, endpoint.created_at_ms)
                if manager is not None:
                    grants.replace_within(connection, Securable(ENDPOINT, endpoint.id), {manager: [CAN_MANAGE]})
        except sa.exc.IntegrityError as error:
            raise errors.ResourceAlreadyExists(f"Serving endpoint with name {endpoint.name} already exists") from error
        return endpoint

    def add_generation(self, name: str, config: EndpointConfig, now_ms: int, seal: Seal | None = None) -> Endpoint:
        """A new wish. Raises ResourceDoesNotExist, ResourceConflict while another one is being deployed."""
        with self._database.write(*_topics(seal)) as connection:
            row = _locked(connection, name)
            newest = _newest(connection, row.id)
            if newest is not None and newest.outcome == Outcome.PENDING and not row.stopped:
                raise errors.ResourceConflict(
                    f"Endpoint {name} is currently updating. Wait for the update to complete before updating its config."
                )
            self._hold(connection, config)
            config = config if seal is None else seal(config)
            generation = Generation(1 if newest is None else newest.number + 1, config, Outcome.PENDING, now_ms)
            connection.execute(sa.insert(_G).values(_generation_row(row.id, generation)))
            kept = inference_tables.wanted(name, None, config.auto_capture_config)
            inference_tables.claim_within(connection, row.id, kept, now_ms)
            _change(connection, row.id, wanted_generation=generation.number, updated_at=now_ms, stopped=False)
        return self.get(name)

    def stop(self, name: str, now_ms: int) -> Endpoint:
        """The wish of `config:stop`. Raises ResourceConflict while an update is being deployed."""
        with self._database.write("wish", "routing") as connection:
            row = _locked(connection, name)
            newest = _newest(connection, row.id)
            if newest is not None and newest.outcome == Outcome.PENDING and not row.stopped:
                raise errors.ResourceConflict(
                    f"Endpoint {name} is currently updating. Wait for the update to complete before stopping it."
                )
            _change(connection, row.id, stopped=True, updated_at=now_ms)
        return self.get(name)

    def change(self, name: str, now_ms: int, **values: Any) -> Endpoint:
        """Sets columns that need no deployment: tags, email_notifications, telemetry_config, description …"""
        with self._database.write(*(("routing",) if values.keys() & _ROUTED else ())) as connection:
            row = _locked(connection, name)
            kept = inference_tables.wanted(name, values.get("ai_gateway"))
            inference_tables.claim_within(connection, row.id, kept, now_ms)
            _change(connection, row.id, updated_at=now_ms, **values)
        return self.get(name)

    def hand_over(self, name: str, creator: str, manager: str, now_ms: int) -> Endpoint:
        """A new creator, by name; the principal `manager`, who is that, gets CAN_MANAGE."""
        with self._database.write("routing") as connection:
            row = _locked(connection, name)
            _change(connection, row.id, creator=creator, updated_at=now_ms)
            securable = Securable(ENDPOINT, row.id)
            held = grants.of_within(connection, securable)
            grants.replace_within(connection, securable, {**held, manager: [CAN_MANAGE]})
        return self.get(name)

    def change_tags(self, name: str, add: Mapping[str, str | None], delete: Iterable[str]) -> Mapping[str, str | None]:
        """Adds and deletes tags atomically; returns what there is then, sorted by key."""
        with self._database.write("routing") as connection:
            row = _locked(connection, name)
            gone = set(delete)
            tags = {key: value for key, value in {**row.tags, **add}.items() if key not in gone}
            _change(connection, row.id, tags=dict(sorted(tags.items())))
        return dict(sorted(tags.items()))

    def delete(self, name: str, now_ms: int) -> None:
        """The wish of DELETE: the name is free at once, control cleans up. Raises ResourceDoesNotExist."""
        with self._database.write("wish", "routing") as connection:
            row = _locked(connection, name)
            served_entity_history.keep_within(connection, row.id, now_ms)
            _change(connection, row.id, name=None, deleted_name=name, deleted_at=now_ms, updated_at=now_ms)
            grants.replace_within(connection, Securable(ENDPOINT, row.id), {})

    # -- following an alias (control) ----------------------------------------------------------------------------

    def targets(self, wanted: Collection[Target]) -> Targets:
        """What these aliases name now."""
        with self._database.read() as connection:
            return served_models.targets_within(connection, wanted) if wanted else {}

    def follow(self, endpoint_id: str, generation: Generation) -> bool:
        """The generation that follows the newest one because an alias moved: PENDING, or FAILED at once.

        False (and nothing written) when there is a newer wish meanwhile.
        """
        try:
            return self._follow(endpoint_id, generation)
        except errors.ResourceDoesNotExist as error:
            failed = dataclasses.replace(generation, outcome=Outcome.FAILED, message=error.message)
            return self._follow(endpoint_id, failed)

    def _follow(self, endpoint_id: str, generation: Generation) -> bool:
        with self._database.write("wish", "routing") as connection:
            row = connection.execute(sa.select(_E).where(_E.c.id == endpoint_id).with_for_update()).one_or_none()
            newest = None if row is None else _newest(connection, endpoint_id)
            if row is None or row.deleted_at is not None or row.stopped or newest is None:
                return False
            if newest.number != generation.number - 1 or newest.outcome == Outcome.PENDING:
                return False
            if generation.outcome is Outcome.PENDING:
                self._hold(connection, generation.config)
            connection.execute(sa.insert(_G).values(_generation_row(endpoint_id, generation)))
            _change(connection, endpoint_id, wanted_generation=generation.number)
        return True

    # -- facts (control) -----------------------------------------------------------------------------------------

    def activate(self, endpoint_id: str, number: int, locks: Mapping[str, str]) -> bool:
        """Points traffic to a generation. False (and nothing written) when a newer wish exists."""
        with self._database.write("wish", "routing") as connection:
            moved = connection.execute(
                sa.update(_E)
                .where(_E.c.id == endpoint_id, _E.c.wanted_generation == number, _E.c.deleted_at.is_(None))
                .values(serving_generation=number)
            )
            if moved.rowcount:
                values = {"outcome": Outcome.ACTIVE.value, "locks": dict(locks)}
                _outcome(connection, endpoint_id, number, revision=revision_within(connection, "routing"), **values)
        return bool(moved.rowcount)

    def fail(self, endpoint_id: str, number: int, message: str, entity_messages: Mapping[str, str]) -> bool:
        """Marks a pending generation as failed; what served goes on. False when it is pending no more."""
        with self._database.write("wish", "routing") as connection:
            values = {
                "outcome": Outcome.FAILED.value,
                "message": message,
                "entity_messages": dict(entity_messages),
            }
            return _outcome(connection, endpoint_id, number, **values)

    def forget(self, endpoint_id: str) -> None:
        """Removes a deleted endpoint's rows, once nothing of it runs."""
        with self._database.write("wish") as connection:
            for table in (tables.demands, tables.replicas, _G):
                connection.execute(sa.delete(table).where(table.c.endpoint_id == endpoint_id))
            connection.execute(sa.delete(_E).where(_E.c.id == endpoint_id, _E.c.deleted_at.is_not(None)))
            # Also what was granted by somebody who had found it just before it was deleted.
            grants.replace_within(connection, Securable(ENDPOINT, endpoint_id), {})


def _topics(seal: Seal | None) -> tuple[str, ...]:
    """Sealed texts are made and stored within one transaction of `access.sealing`'s topic."""
    return ("wish", "routing") if seal is None else ("wish", "routing", "sealing")


def _locked(connection: sa.Connection, name: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(_E).where(_E.c.name == name).with_for_update()).one_or_none()
    if row is None:
        raise errors.ResourceDoesNotExist(f"Serving endpoint with name {name} not found")
    return row


def _capture(endpoint: Endpoint) -> Mapping[str, Any] | None:
    return None if endpoint.wanted is None else endpoint.wanted.config.auto_capture_config


def _newest(connection: sa.Connection, endpoint_id: str) -> sa.Row[Any, Any] | None:
    query = sa.select(_G.c.number, _G.c.outcome).where(_G.c.endpoint_id == endpoint_id)
    return connection.execute(query.order_by(_G.c.number.desc()).limit(1)).one_or_none()


def _change(connection: sa.Connection, endpoint_id: str, **values: Any) -> None:
    connection.execute(sa.update(_E).where(_E.c.id == endpoint_id).values(values))


def _outcome(connection: sa.Connection, endpoint_id: str, number: int, **values: Any) -> bool:
    pending = sa.and_(_G.c.endpoint_id == endpoint_id, _G.c.number == number, _G.c.outcome == Outcome.PENDING.value)
    return bool(connection.execute(sa.update(_G).where(pending).values(values)).rowcount)


def _generation(row: sa.Row[Any]) -> Generation:
    config = EndpointConfig.from_json(row.config)
    return Generation(
        row.number,
        config,
        Outcome(row.outcome),
        row.created_at,
        row.message,
        row.entity_messages,
        # Many endpoints have the same environment, whose lock is long.
        {name: sys.intern(lock) for name, lock in row.locks.items()},
        row.revision,
    )


def _generation_row(endpoint_id: str, generation: Generation) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint_id,
        "number": generation.number,
        "config": generation.config.to_json(),
        "outcome": generation.outcome.value,
        "created_at": generation.created_at_ms,
        "message": generation.message,
        "entity_messages": dict(generation.entity_messages),
        "locks": dict(generation.locks),
        "revision": generation.revision,
    }


_PLAIN = (
    "id",
    "description",
    "tags",
    "email_notifications",
    "telemetry_config",
    "route_optimized",
    "budget_policy_id",
    "ai_gateway",
)


def _endpoint(row: sa.Row[Any], generations: Mapping[tuple[str, int], Generation]) -> Endpoint:
    return Endpoint(
        name=row.name or row.deleted_name,
        creator=row.creator,
        created_at_ms=row.created_at,
        updated_at_ms=row.updated_at,
        wanted=generations.get((row.id, row.wanted_generation)),
        serving=generations.get((row.id, row.serving_generation)),
        stopped=row.stopped,
        deleted=row.deleted_at is not None,
        rate_limits=tuple(row.rate_limits or ()),
        **{name: getattr(row, name) for name in _PLAIN},
    )


def _row(endpoint: Endpoint) -> dict[str, Any]:
    plain = {name: getattr(endpoint, name) for name in _PLAIN}
    return plain | {
        "name": endpoint.name,
        "creator": endpoint.creator,
        "created_at": endpoint.created_at_ms,
        "updated_at": endpoint.updated_at_ms,
        "tags": dict(endpoint.tags),
        "rate_limits": list(endpoint.rate_limits) or None,
        "wanted_generation": endpoint.wanted and endpoint.wanted.number,
        "serving_generation": endpoint.serving and endpoint.serving.number,
        "stopped": endpoint.stopped,
    }
