"""The relational truth: tables, migrations, one repository per aggregate, change notices. SQLite and PostgreSQL."""
