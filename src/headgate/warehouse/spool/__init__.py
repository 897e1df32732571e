"""Finished requests on this machine's disk, on their way into tables: written by server processes, taken over by the loader."""
