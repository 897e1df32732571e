"""External LLM vendors, spoken to in one middle language. Sans-I/O: bytes and dicts in, bytes and dicts out."""
