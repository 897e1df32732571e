"""Tables of secret scopes and secrets, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""
