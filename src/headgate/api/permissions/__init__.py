"""Who may do what: the REST families that show and change grants."""
