"""Recovery beside the work of the process that asks for it, until it has succeeded once. For storages that may be away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from headgate.registry.storage import StorageUnavailable

logger = logging.getLogger(__name__)

_AGAIN_S = 60.0


def begin(recover: Callable[[], None]) -> None:
    """Returns at once. The thread ends with the process: what it leaves undone is for the next one."""
    threading.Thread(target=_until_done, args=(recover,), name="recovery", daemon=True).start()


def _until_done(recover: Callable[[], None]) -> None:
    while True:
        try:
            recover()
            return
        except StorageUnavailable as error:
            logger.warning("what was interrupted is not recovered yet: %s", error)
        except Exception:
            logger.exception("recovery failed")
            return
        time.sleep(_AGAIN_S)
