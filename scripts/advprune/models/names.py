"""Names of the nets. Without torch, because the workflow reads them while planning."""

from pathlib import Path


def known_nets() -> list[str]:
    """Names of all nets, sorted: those of the modules in `models/nets`."""
    files = (Path(__file__).parent / "nets").glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")
