"""Where a table lies: below `data_dir/tables`, or below the prefix of `storage.url`. Asked by the loader, upkeep and SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate.domain.request_record import InferenceTable
from headgate.settings import Settings

FOLDER = "tables"
_ODD = re.compile(r"[^a-z0-9_-]")
_ODD_WRITTEN = re.compile(r"~([0-9a-f]+)~")


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A full name, in lower case: names differing in case are one."""

    catalog: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}.{self.table}"


ENDPOINT_USAGE = TableName("system", "serving", "endpoint_usage")
SERVED_ENTITIES = TableName("system", "serving", "served_entities")
SYSTEM = (ENDPOINT_USAGE, SERVED_ENTITIES)


def payload_table(wanted: InferenceTable) -> TableName:
    """The table that keeps an endpoint's requests."""
    return named(wanted.catalog, wanted.schema, f"{wanted.prefix}_payload")


def named(catalog: str, schema: str, table: str) -> TableName:
    """A name however it is written."""
    return TableName(catalog.lower(), schema.lower(), table.lower())


@dataclass(frozen=True, slots=True)
class Places:
    """All tables of one installation."""

    root: str
    """A folder, or `s3://bucket/prefix/tables`."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Address and credentials of the storage, in deltalake's words."""

    def uri(self, name: TableName) -> str:
        """Where this table lies, whether there is one or not."""
        return "/".join((self.root, *map(_written, (name.catalog, name.schema, name.table))))

    @property
    def local(self) -> bool:
        """Whether they lie on this machine."""
        return "://" not in self.root

    def found(self) -> Iterator[TableName]:
        """The tables there are on this machine; none is told of those in an object storage, which are looked up by name."""
        if self.local:
            for log in Path(self.root).glob("*/*/*/_delta_log"):
                yield read_name(*log.parts[-4:-1])


def read_name(catalog: str, schema: str, table: str) -> TableName:
    """The table that lies in folders of these names."""
    return TableName(_read(catalog), _read(schema), _read(table))


def open_places(settings: Settings) -> Places:
    """As the settings say."""
    storage = settings.storage
    if not storage.url:
        return Places(str(settings.data_dir / FOLDER))
    given = {
        "AWS_ENDPOINT_URL": storage.endpoint_url,
        "AWS_REGION": storage.region,
        "AWS_ACCESS_KEY_ID": storage.access_key_id,
        "AWS_SECRET_ACCESS_KEY": storage.secret_access_key,
        "AWS_ALLOW_HTTP": "true" if storage.allow_http else "",
    }
    return Places(f"{storage.url.rstrip('/')}/{FOLDER}", {name: value for name, value in given.items() if value})


def _written(part: str) -> str:
    return _ODD.sub(lambda found: f"~{found[0].encode().hex()}~", part)


def _read(part: str) -> str:
    return _ODD_WRITTEN.sub(lambda found: bytes.fromhex(found[1]).decode(), part)
