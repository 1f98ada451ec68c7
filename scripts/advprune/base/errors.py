"""The one exception that users see."""


class UserError(Exception):
    """Bad configuration, data or checkpoint: one clear line, no traceback."""
