"""What happened: requests into Delta tables, and SQL over them. `spool` is fast and sure, `loading` takes it to `tables`, `sql` reads them."""
