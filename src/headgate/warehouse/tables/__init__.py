"""The Delta tables: their columns, where they lie, what a record becomes in them. Needs the extra `warehouse`."""
