"""Tables of the audit log, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""
