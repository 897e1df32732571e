"""Replica rows. Only control writes them; servers read them through `store.routing`, the API shows them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from headgate.domain.replica import Replica, ReplicaState, may_move
from headgate.store import tables
from headgate.store.database import Database

_R = tables.replicas


class Replicas:
    """Repository of replicas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def everything(self) -> list[Replica]:
        """All rows, oldest first, ended ones included until `prune`."""
        return self._select(sa.true())

    def of_endpoint(self, endpoint_id: str) -> list[Replica]:
        """Rows of one endpoint, oldest first."""
        return self._select(_R.c.endpoint_id == endpoint_id)

    def _select(self, where: sa.ColumnElement[bool]) -> list[Replica]:
        query = sa.select(_R).where(where).order_by(_R.c.created_at, _R.c.id)
        with self._database.read() as connection:
            return [_replica(row) for row in connection.execute(query)]

    def add(self, replica: Replica) -> None:
        """Records the wish for a replica, before the agent is told."""
        values = {
            "id": replica.id,
            "endpoint_id": replica.endpoint_id,
            "deployment_key": replica.deployment_key,
            "entity_name": replica.entity_name,
            "state": replica.state.value,
            "created_at": replica.created_at_ms,
            "slots": replica.slots,
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(_R).values(values))

    def move(self, replica_id: str, target: ReplicaState, **values: Any) -> bool:
        """Moves a replica if the table of moves allows it from where it is; False otherwise. `values` are columns."""
        sources = [state.value for state in ReplicaState if may_move(state, target)]
        with self._database.write("routing") as connection:
            moved = connection.execute(
                sa.update(_R).where(_R.c.id == replica_id, _R.c.state.in_(sources)).values(state=target.value, **values)
            )
        return bool(moved.rowcount)

    def prune(self, ended_before_ms: int) -> int:
        """Deletes rows of replicas that ended before then; how many."""
        ended = [ReplicaState.FAILED.value, ReplicaState.STOPPED.value]
        with self._database.write() as connection:
            gone = connection.execute(sa.delete(_R).where(_R.c.state.in_(ended), _R.c.ended_at < ended_before_ms))
        return gone.rowcount


def _replica(row: sa.Row[Any]) -> Replica:
    return Replica(
        id=row.id,
        endpoint_id=row.endpoint_id,
        deployment_key=row.deployment_key,
        entity_name=row.entity_name,
        state=ReplicaState(row.state),
        created_at_ms=row.created_at,
        address=row.address,
        slots=row.slots,
        ready_at_ms=row.ready_at,
        ended_at_ms=row.ended_at,
        message=row.message,
        how=row.how,
        log_path=row.log_path,
    )
