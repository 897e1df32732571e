"""The tracking families: MLflow's API and pages behind our door, artifacts through our files API."""
