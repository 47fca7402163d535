"""Names and addresses -> connections, to no address that must not be dialled."""
