"""The loader of tables wakes up for an endpoint that wants records, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate import recorded
from headgate.domain.request_record import InferenceTable
from headgate.domain.routing import PLAIN, EndpointRoute, GatewayRoute, RoutingTable
from headgate.settings import Settings
from headgate.warehouse.spool import segments

TABLE = InferenceTable("main", "default", "chat")


def table(gateway: GatewayRoute) -> RoutingTable:
    return RoutingTable(1, {"chat": EndpointRoute("e1", "chat", "NOT_READY", gateway=gateway)})


@pytest.mark.parametrize("wanted", [GatewayRoute(usage_tracked=True), GatewayRoute(inference_table=TABLE)])
def test_the_spool_is_there_as_soon_as_an_endpoint_wants_records(tmp_path: Path, wanted: GatewayRoute) -> None:
    tables = iter([table(PLAIN), table(wanted)])
    read = recorded.announcing(lambda: next(tables), Settings(data_dir=tmp_path))
    assert read() == table(PLAIN)
    assert not segments.folder(tmp_path).exists()
    assert read() == table(wanted)
    assert segments.in_use(segments.folder(tmp_path))


def test_a_disk_that_takes_nothing_holds_up_no_routing_table(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    wanted = table(GatewayRoute(usage_tracked=True))
    with pytest.raises(NotADirectoryError):
        segments.in_use(segments.folder(tmp_path))
    assert recorded.announcing(lambda: wanted, Settings(data_dir=tmp_path))() == wanted
