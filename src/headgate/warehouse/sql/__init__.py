"""SQL over the tables. `translating` makes DuckDB's SQL of Databricks', `running` runs it in a process of its own, `results` shapes answers."""
