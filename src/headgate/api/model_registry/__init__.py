"""The REST family of registered models and their files, as MLflow's Unity Catalog client and the SDK's Files API speak it."""
