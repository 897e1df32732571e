"""What can go wrong in a client command: one class per kind, printed by `main` as one line on stderr, exit code 1.

CliError
├─ ApiError      the server answered with an error; carries its code
└─ Unreachable   there was no answer at all

Wrong usage is no CliError but `typer.BadParameter`: exit code 2.
"""

from __future__ import annotations


class CliError(Exception):
    """Ends the command. `message` says what was wrong and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def line(self) -> str:
        """The message on one line, whatever it contained."""
        return " ".join(self.message.split())


class ApiError(CliError):
    """The server's `{"error_code", "message"}`."""

    def __init__(self, message: str, error_code: str, status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.status = status

    def line(self) -> str:
        return f"{super().line()} ({self.error_code})"


class Unreachable(CliError):
    """No connection, or no answer in time."""
