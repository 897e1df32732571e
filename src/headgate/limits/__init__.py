"""Rate limits in force: counters in one process or leased from a store, and who is let in."""
