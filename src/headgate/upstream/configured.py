"""Whether the settings of providers can be used. Asked once, before the house serves."""

from __future__ import annotations

from headgate.language_settings import ProviderSettings
from headgate.upstream import dialling
from headgate.upstream.targets import proxy_of

_AT_LEAST = {
    "connect_s": 0.001, "first_byte_s": 0.001, "idle_s": 0.001, "total_s": 0.001, "connections": 1, "waiting": 0, "answer_bytes": 1,
}  # fmt: skip


def refusal(settings: ProviderSettings) -> str | None:
    """Why not, and what to change; None: they can. Shows no credentials."""
    for name, least in _AT_LEAST.items():
        if getattr(settings, name) < least:
            return f"providers.{name} is {getattr(settings, name)}; it must be at least {least}"
    try:
        proxy_of(settings.proxy_url)
    except ValueError:
        return "providers.proxy_url is no address of an HTTP proxy: write e.g. http://user:password@proxy:3128"
    try:
        dialling.tls_context(settings.ca_file)
    except OSError as error:
        return f"providers.ca_file: {settings.ca_file} cannot be read as certificates (PEM): {error.strerror or error}"
    return None
