"""Who may do what with identities and tokens."""

from __future__ import annotations

from headgate import errors
from headgate.access.principals import Principal


def require_admin(caller: Principal, what: str) -> None:
    """Raises PermissionDenied; `what` completes "Only administrators may"."""
    if not caller.admin:
        raise errors.PermissionDenied(
            f"Only administrators may {what}. Ask one, or ask one to add you to the group admins."
        )
