"""The one settings tree. Read once, in `app.py`; every other room is handed the values it needs.

A value comes from, in falling order: the command line, the environment (`HEADGATE_<FIELD>`, or
`HEADGATE_<SECTION>_<FIELD>` for a section), the file `headgate.toml` (`[section]` tables), the default below.
The docstring under each field is its documentation (docs/reference/settings.md is generated from it).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate.language_settings import SECRET, RateLimitSettings
from headgate.language_settings import GuardrailSettings as GuardrailSettings
from headgate.language_settings import ProviderSettings as ProviderSettings
from headgate.language_settings import WarehouseSettings as WarehouseSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """How the Python environments of models are made."""

    mode: str = "uv"
    """`uv` builds each model its own environment; `local` uses the server's own one when it satisfies the model's pins exactly."""
    uv_args: str = ""
    """More arguments for `uv pip install`, as one shell-like string, e.g. `--find-links /wheels`."""
    python_downloads: str = "automatic"
    """`automatic` lets uv download a missing Python version; `never` uses only interpreters on this machine."""
    build_deadline_s: float = 1800.0
    """A build that takes longer than this fails."""
    parallel_builds: int = 2
    """Environments built at the same time."""
    retention_s: float = 7 * 86400.0
    """An environment no endpoint refers to is deleted after this time."""
    unused_bytecode_bytes: int = 1024**3
    """Compiled Python that no environment has now is kept for later ones up to this size; the longest unused goes first."""


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """Processes that hold a model."""

    processes_per_entity: int = 0
    """Most processes for one CPU-bound served entity on this machine; 0 means the number of CPU cores."""
    load_deadline_s: float = 1800.0
    """A replica not ready after this time has failed."""
    drain_deadline_s: float = 600.0
    """A replica that is being replaced may finish its requests for this long."""
    start_attempts: int = 3
    """Starts that may fail, within one update, before the update is reported as failed."""
    restart_backoff_s: float = 1.0
    """Wait before a died replica is replaced a second time in a row; doubles up to `restart_backoff_max_s`."""
    restart_backoff_max_s: float = 60.0
    """Longest wait between two replacements of a replica."""
    memory_per_concurrency_bytes: int = 4 * 1024**3
    """Memory limit of a replica per unit of its concurrency (more for CPU_MEDIUM: twice, CPU_LARGE: four times); 0 sets no limit."""
    zygotes: bool = True
    """Fork replicas from a warmed process per environment instead of starting each from nothing."""
    zygote_limit: int = 16
    """Most warmed processes kept alive; the least recently used ends first."""
    zygotes_ahead: int = 2
    """Warmed processes started with the server, for the environments used last; 0 starts each when it is first needed."""
    batch_requests: int = 64
    """Most requests that one prediction answers together. Only models for which that is proven to change nothing, or whose
    environment variable `HEADGATE_BATCHING` is `on`, do so; nobody waits for others to come. 1 switches it off."""
    batch_rows: int = 1024
    """Most rows of such a prediction; a request of more is predicted alone."""
    checked_fraction: float = 0.001
    """Of the requests answered by a library's own predict instead of MLflow's, how many are answered by both and compared. A difference
    switches the fast way off for that replica, and is counted and logged. Comparing takes at most 0.2% of a replica's
    time. 0 compares none."""
    log_bytes: int = 10 * 1024**2
    """Size at which a replica's log file is rotated; one older file is kept."""


@dataclass(frozen=True, slots=True)
class ScalingSettings:
    """When replicas come and go."""

    idle_s: float = 1800.0
    """A served entity with `scale_to_zero_enabled` sleeps after this time without a request."""
    down_window_s: float = 300.0
    """Load must have stayed lower for this long before a process is taken away."""
    lap_s: float = 1.0
    """The control loop looks at everything at least this often; change notices make it look at once."""
    load_report_s: float = 0.5
    """How often a server process reports in-flight and queued requests."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds on one request and on waiting."""

    execution_s: float = 597.0
    """A request that runs longer is answered 504."""
    payload_bytes: int = 16 * 1024**2
    """A larger body of a request to a model, or for tracking, is answered 400."""
    external_payload_bytes: int = 4 * 1024**2
    """A larger body of a request to an external model is answered 400; Databricks draws the same line."""
    api_payload_bytes: int = 2 * 1024**2
    """A larger body of any other request to the REST API, files aside, is answered 400: it is parsed where models' requests are passed on."""
    queue_per_entity: int = 1000
    """Requests that may wait for a free slot of one served entity in one server process; more are answered 429."""
    wake_deadline_s: float = 300.0
    """How long a request to a sleeping endpoint is held before it is answered 504."""
    refusals_per_minute: int = 20
    """Refused credentials of one client address that one server process answers at once. Further ones within the minute are answered
    later, so that guessing is slow; so are 25 times as many of all addresses together. Good credentials are never delayed."""
    shutdown_s: float = 30.0
    """SIGTERM lets running requests finish for this long."""


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """Tokens that this server issues itself."""

    issuer: str = ""
    """`iss` of every token, and the only one accepted. Default: `<external_url>/oidc`; without an `external_url`, the address that was asked."""
    token_life_s: float = 3600.0
    """How long an access token is good."""
    refresh_life_s: float = 7 * 86400.0
    """How long a client that a person let in gets new access tokens, until that person must log in again."""
    key_rotation_s: float = 30 * 86400.0
    """A new key signs tokens after this time. Old keys verify until the last token they signed has expired."""
    key_lead_s: float = 60.0
    """A new key is known to all servers for this long before it signs."""
    public_clients: str = "databricks-cli"
    """Client ids, separated by commas, that may log people in with `/oidc/v1/authorize`. They are sent back to this computer (loopback) only."""
    secrets_per_principal: int = 5
    """Most secrets that one service principal may have."""


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How people log in with a browser: through an OpenID Connect provider, or, when there is none, with an access token."""

    issuer: str = ""
    """Issuer URL of the provider, e.g. `https://accounts.example.com`. Default: no provider."""
    client_id: str = ""
    """What the provider calls this server. Its redirect URI is `<external_url>/login/callback`."""
    client_secret: str = field(default="", repr=False)
    """The secret that goes with it. Kept sealed in the database, so that it need be given only once."""
    scopes: str = "openid profile email"
    """What the provider is asked for; some tell groups only for a scope of their own."""
    user_claim: str = "email"
    """The claim that is the user's name here. It must be one that people cannot choose for themselves."""
    create_users: bool = True
    """Make a user at the first login; otherwise only those who are known are let in."""
    groups_claim: str = ""
    """The claim that lists the user's groups, e.g. `groups`. Default: groups are managed here only."""
    group_mapping: str = ""
    """`theirs=ours` pairs, separated by commas. Default: groups of the same name. Groups that do not exist here are passed over."""
    admin_groups: str = ""
    """Values of the claim, separated by commas, whose people are administrators."""
    session_life_s: float = 12 * 3600.0
    """How long a browser stays logged in."""
    clock_skew_s: float = 60.0
    """How far the provider's clock may be off."""
    timeout_s: float = 10.0
    """Longest wait for an answer of the provider."""


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """MLflow's own server behind this one: experiments, runs, traces and its web pages. Needs the extra `mlflow`."""

    start: str = "on_demand"
    """`on_demand` starts it with the first request for it, `always` with the server, `off` refuses such requests."""
    database_url: str = field(default="", repr=False)
    """SQLAlchemy URL of its database. Default: a file of its own in `data_dir`, or, when `database_url` is PostgreSQL, a schema of its own there."""
    start_deadline_s: float = 120.0
    """A request waits this long for it to start; the very first start also makes its tables."""
    answer_deadline_s: float = 120.0
    """A request is answered 504 when it says nothing for this long."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where files of models and runs lie."""

    url: str = ""
    """`s3://bucket` or `s3://bucket/prefix` for an S3-compatible object storage. Default: the folder `data_dir`."""
    endpoint_url: str = ""
    """Base URL of the object storage, e.g. `https://minio.example.com`. Default: Amazon's own."""
    region: str = ""
    """Region of the bucket. Default: `AWS_REGION`, else `us-east-1`."""
    access_key_id: str = ""
    """Key to sign requests with. Default: what AWS programs find in their environment (`AWS_ACCESS_KEY_ID`, a role of the machine or pod)."""
    secret_access_key: str = field(default="", repr=False, metadata=SECRET)
    """The secret that belongs to `access_key_id`."""
    allow_http: bool = False
    """Allow an `endpoint_url` that begins with `http://`: neither files nor who asks for them are protected on the way then."""
    cache_bytes: int = 100 * 1024**3
    """Disk space for copies of models on each machine, in `data_dir/copies`. The longest unused go first; those in use stay."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The log of every change and every refused access."""

    retention_s: float = 365 * 86400.0
    """Events older than this are deleted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on; 0 picks a free one."""
    workers: int = 1
    """Server processes."""
    data_dir: Path = Path("~/.headgate")
    """Where everything Headgate keeps lies: database, models, environments, logs."""
    run_dir: Path | None = None
    """Sockets and lock files. Default: a folder named after `data_dir` under the system's temporary folder (socket paths must be short)."""
    database_url: str = ""
    """SQLAlchemy URL. Default: SQLite inside `data_dir`."""
    admin_token: str = field(default="", repr=False)
    """Token of the first administrator. Default: made at the first start and kept in `data_dir/admin-token`."""
    secret_key: str = field(default="", repr=False)
    """Key that seals what is secret in the database: 32 random bytes as base64 or hex. Several are separated by commas: the first seals,
    all open. Default: made at the first start and kept in `data_dir/secret-key`."""
    admin_user: str = "admin"
    """User name of the first administrator, shown as `creator`."""
    external_url: str = ""
    """Base URL under which clients reach this server, used in URLs we hand out. Default: the request's own Host header."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_format: str = "text"
    """`text` for people, `json` for machines."""
    environments: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    replicas: ReplicaSettings = field(default_factory=ReplicaSettings)
    scaling: ScalingSettings = field(default_factory=ScalingSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    oauth: OAuthSettings = field(default_factory=OAuthSettings)
    login: LoginSettings = field(default_factory=LoginSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    warehouse: WarehouseSettings = field(default_factory=WarehouseSettings)
    guardrails: GuardrailSettings = field(default_factory=GuardrailSettings)
    providers: ProviderSettings = field(default_factory=ProviderSettings)
    rate_limits: RateLimitSettings = field(default_factory=RateLimitSettings)

    def resolved(self) -> Settings:
        """The same with absolute `data_dir`, and `run_dir` and `database_url` filled in."""
        data_dir = self.data_dir.expanduser().absolute()
        digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        temporary = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
        return dataclasses.replace(
            self,
            data_dir=data_dir,
            run_dir=self.run_dir or temporary / f"headgate-{os.getuid()}-{digest}",
            database_url=self.database_url or f"sqlite:///{data_dir / 'headgate.db'}",
        )

    def to_json(self) -> dict[str, Any]:
        """Everything but what is secret, for handing on to another process."""
        tree = dataclasses.asdict(self)
        for secret in ("admin_token", "secret_key"):
            del tree[secret]
        del tree["login"]["client_secret"]
        for section, name in _secrets():
            del tree[section][name]
        return tree | {"data_dir": str(self.data_dir), "run_dir": str(self.run_dir)}

    def secrets(self) -> dict[str, dict[str, Any]]:
        """What `to_json` leaves out and processes below need."""
        found: dict[str, dict[str, Any]] = {}
        for section, name in _secrets():
            found.setdefault(section, {})[name] = getattr(getattr(self, section), name)
        return found

    @property
    def sockets(self) -> Path:
        """`run_dir` once resolved."""
        if self.run_dir is None:
            raise SettingsError("settings were not resolved")
        return self.run_dir


class SettingsError(Exception):
    """A value that cannot be used; the message names the setting and where it came from."""


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Settings from command line (`overrides`, dotted names), environment and file. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    named = file or (Path(environ["HEADGATE_CONFIG"]) if environ.get("HEADGATE_CONFIG") else None)
    tree = _read_file(named or Path("headgate.toml"), required=named is not None)
    for section, name, variable in variables():
        if variable in environ:
            (tree.setdefault(section, {}) if section else tree)[name] = _Text(environ[variable], variable)
    for dotted, value in (overrides or {}).items():
        section, _, name = dotted.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    settings: Settings = _build(Settings, tree, "")
    return settings.resolved()


def from_json(tree: Mapping[str, Any], secrets: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Inverse of `Settings.to_json` and `Settings.secrets`."""
    hidden = {section: {**tree[section], **values} for section, values in (secrets or {}).items()}
    made: Settings = _build(Settings, {**tree, **hidden}, "")
    return made.resolved()


def variables() -> list[tuple[str, str, str]]:
    """Every setting as (section or "", field, environment variable)."""
    found = []
    for item in dataclasses.fields(Settings):
        if item.default_factory is not dataclasses.MISSING:
            kind = typing.get_type_hints(Settings)[item.name]
            for inner in dataclasses.fields(kind):
                found.append((item.name, inner.name, f"HEADGATE_{item.name}_{inner.name}".upper()))
        else:
            found.append(("", item.name, f"HEADGATE_{item.name}".upper()))
    return found


def _secrets() -> list[tuple[str, str]]:
    """(section, field) of what is marked SECRET."""
    kinds = typing.get_type_hints(Settings)
    sections = {name: kind for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}
    return [
        (section, item.name)
        for section, kind in sections.items()
        for item in dataclasses.fields(kind)
        if item.metadata.get("secret")
    ]


class _Text(str):
    """A string from the environment, which remembers its variable for the error message."""

    source: str

    def __new__(cls, value: str, source: str) -> _Text:
        made = super().__new__(cls, value)
        made.source = source
        return made


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise SettingsError(f"the settings file {path} does not exist")
        return {}
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text())
        return tree
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _build(kind: type[Any], tree: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(tree) - set(hints))
    if unknown:
        raise SettingsError(f"unknown setting {prefix}{unknown[0]}; known: {', '.join(sorted(hints))}")
    values = {}
    for name, value in tree.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{prefix}{name} is a section, not a value")
            values[name] = _build(hint, value, f"{name}.")  # type: ignore[arg-type]
        else:
            values[name] = _convert(value, hint, f"{prefix}{name}")
    return kind(**values)


def _convert(value: Any, hint: Any, name: str) -> Any:
    where = f" (from {value.source})" if isinstance(value, _Text) else ""
    wanted = next((kind for kind in typing.get_args(hint) if kind is not type(None)), hint)
    try:
        if wanted is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if wanted is bool and not isinstance(value, bool):
            raise ValueError
        return wanted(value)
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{name}{where}: {value!r} is not a valid {wanted.__name__}") from error
