"""Last step for external models: a vendor is asked, and others after it where that may help."""

from __future__ import annotations

from headgate import errors
from headgate.gateway.call import Call, Reply


class CallProvider:
    """Entered last, when `call.entity` is an external model."""

    async def __call__(self, call: Call) -> Reply:
        """The answer in the client's dialect. Raises HeadgateError."""
        raise errors.NotSupported("External models are not supported yet.")
