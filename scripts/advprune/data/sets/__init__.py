"""One module per dataset, loaded by name: what is known of it, and how it is read."""
