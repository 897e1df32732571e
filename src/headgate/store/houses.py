"""Houses that share this database, and which of them runs models: the first one there was, until a person moves them (decision 0185).

Called at start, and by control, which acts on replicas in that house only.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.store import leases
from headgate.store.database import Database

MODELS = "models_house"
"""The fact that says which house runs models: its id, a space, where it is."""


@dataclass(frozen=True, slots=True)
class House:
    """A `headgate serve` with a data directory of its own."""

    id: str
    where: str
    """For people: machine and data directory."""


def models(database: Database) -> House | None:
    """The house that runs models; None before the first start."""
    found = leases.fact(database, MODELS)
    return None if found is None else _read(found)


def settle_models(database: Database, own: House) -> House:
    """The house that runs models; `own` when there is none yet, or when nobody else can have this database."""
    found = leases.fact_or_set(database, MODELS, f"{own.id} {own.where}")
    settled = _read(found)
    if settled == own or (settled.id != own.id and not database.is_for_one_machine):
        return settled
    leases.set_fact(database, MODELS, f"{own.id} {own.where}")
    return own


def _read(fact: str) -> House:
    house_id, _, where = fact.partition(" ")
    return House(house_id, where)
