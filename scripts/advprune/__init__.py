"""The library that the workflow's scripts share."""
