"""Log format, all Prometheus metrics, traces."""
