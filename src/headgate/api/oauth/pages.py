"""The few pages that people see when they log in. Plain HTML without scripts; everything shown is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from headgate import errors

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:15vh auto;padding:0 1rem;color:#1b1f24}"
    "h1{font-size:1.3rem}input{width:100%;box-sizing:border-box;padding:.5rem;font:inherit}"
    "button{margin:1rem .5rem 0 0;padding:.5rem 1rem;font:inherit;cursor:pointer}.problem{color:#a40e26}"
)


def page(title: str, body: str, status: int = 200, form_targets: str = "'self'") -> HTMLResponse:
    """A page. `body` is HTML; `form_targets` is where its forms may lead, also by redirects."""
    content = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Headgate</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; form-action {form_targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        # Not `no-referrer`: a browser would then not say where a form comes from.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(content, status, headers=headers)


def refused(request: Request, message: str, status: int = 400) -> Response:
    """Why something cannot be done: a page for people, JSON for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return page(
            "This did not work", f'<p class="problem">{escape(message)}</p><p><a href="/login">Log in</a></p>', status
        )
    kind = errors.PermissionDenied if status == 403 else errors.BadRequest
    return JSONResponse(kind(message).body(), status)


def with_token(return_to: str, problem: str = "") -> HTMLResponse:
    """Where somebody pastes an access token."""
    told = f'<p class="problem">{escape(problem)}</p>' if problem else ""
    form = _form(
        "/login",
        {"return_to": return_to},
        '<p><label for="token">Personal access token</label>'
        '<input id="token" name="token" type="password" autocomplete="off" required autofocus></p><button>Log in</button>',
    )
    hint = "<p>The administrator's token lies in the server's data folder; everybody else gets one from <code>headgate tokens create</code>.</p>"
    return page("Log in", told + form + hint, 400 if problem else 200)


def logged_in(name: str) -> HTMLResponse:
    """Who somebody is."""
    body = f"<p>You are logged in as <strong>{escape(name)}</strong>.</p>" + _form(
        "/logout", {}, "<button>Log out</button>"
    )
    return page("Logged in", body)


def logged_out() -> HTMLResponse:
    """After it."""
    return page("Logged out", '<p>You are logged out of this server.</p><p><a href="/login">Log in again</a></p>')


def consent(name: str, client: str, fields: Mapping[str, str], redirect_origin: str) -> HTMLResponse:
    """Whether a program on this computer may act as somebody."""
    body = (
        f"<p><strong>{escape(client)}</strong>, a program on this computer, wants to use this server as "
        f"<strong>{escape(name)}</strong>, with everything that you may do.</p>"
        "<p>Go on only if you have just started it.</p>"
    )
    buttons = '<button name="answer" value="allow">Allow</button><button name="answer" value="deny">Cancel</button>'
    targets = f"'self' {redirect_origin}"
    return page("Let a program in?", body + _form("/oidc/v1/authorize", fields, buttons), form_targets=targets)


def _form(action: str, fields: Mapping[str, str], inner: str) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    return f'<form method="post" action="{escape(action)}">{hidden}{inner}</form>'
