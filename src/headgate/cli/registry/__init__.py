"""`headgate models|catalogs|schemas …`."""
