"""Released nets in a table of their own: published, measured here, and ours."""
