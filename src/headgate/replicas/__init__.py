"""Bring a replica to life and end it: environment -> zygote or fresh process -> worker. Knows no database."""
