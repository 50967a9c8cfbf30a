"""SQL is source: the statements of a store's `.sql` files, by name. `-- name: x` starts statement x."""

from importlib import resources


def named(package: str) -> dict[str, str]:
    """Read the statements of a package."""
    files = [file for file in resources.files(package).iterdir() if file.name.endswith(".sql")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    blocks = (block.partition("\n") for text in texts for block in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in blocks}


def numbered(database: str) -> dict[int, tuple[str, str]]:
    """Read a database's shipped migrations: number to file name and text."""
    folder = resources.files("dragoman.store") / "migrations" / database
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {int(file.name[:4]): (file.name, file.read_text(encoding="utf-8")) for file in files}
