"""The command line: every verb of ``halidescope``."""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Photoluminescence microscopy of light-sensitive semiconductors."""


def main() -> None:
    """Run the command line."""
    app()
