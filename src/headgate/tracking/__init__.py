"""MLflow's own server as a child of the house: started when first needed, reached over a Unix socket, never by clients directly."""
