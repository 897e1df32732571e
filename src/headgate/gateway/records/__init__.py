"""Records of finished requests, on their way from the pipeline to the warehouse's spool."""
