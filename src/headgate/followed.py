"""Part of the composition root: whether a served entity may be given the version that its alias names now. Asked by control.

Whoever created the entity must still have EXECUTE on the model, or whoever the endpoint was handed over to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headgate.access.directory import Directory
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.domain import signature
from headgate.domain.endpoint import ServedEntity
from headgate.domain.environment import ModelDescription
from headgate.errors import HeadgateError, TemporarilyUnavailable
from headgate.store.database import Database
from headgate.store.identities import Identities

Refusal = Callable[[ServedEntity, Sequence[str]], str]


def refusal(database: Database, describe: Callable[[str, str], ModelDescription]) -> Refusal:
    """(entity, names of those who answer for it) -> why not; empty when it may. Raises TemporarilyUnavailable."""
    identities, rights = Identities(database), ModelRights(database)

    def ask(entity: ServedEntity, creators: Sequence[str]) -> str:
        alias = f"The alias {entity.followed_alias} now names version {entity.entity_version}, which is not deployed: "
        directory = Directory(identities.read())
        if not any(_may_serve(rights, directory, name, entity.entity_name) for name in creators):
            whom = " and ".join(creators)
            return (
                f"{alias}{whom} has no EXECUTE on {entity.entity_name} (any more). Grant it, or let somebody who has it update "
                "the endpoint."
            )
        try:
            text = describe(entity.entity_name, entity.entity_version).signature
            signature.check_servable(entity.entity_name, entity.entity_version, text)
        except TemporarilyUnavailable:
            raise
        except HeadgateError as error:
            return alias + error.message
        return ""

    return ask


def _may_serve(rights: ModelRights, directory: Directory, creator: str, model: str) -> bool:
    caller = _principal(directory, creator)
    if caller is None:
        return False
    try:
        rights.require_to_serve(caller, model)
    except HeadgateError:
        return False
    return True


def _principal(directory: Directory, name: str) -> Principal | None:
    found = directory.by_user_name(name) or directory.by_application_id(name)
    return None if found is None else directory.principal(found.id)
