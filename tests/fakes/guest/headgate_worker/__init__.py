"""A stand-in for the guest package, without MLflow: what the agent needs to see of a worker and a zygote, and misbehaviour on demand."""
