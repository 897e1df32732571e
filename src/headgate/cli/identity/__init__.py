"""`headgate users|groups|service-principals|tokens …`."""
