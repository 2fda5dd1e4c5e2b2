"""The command ``halidescope``: its verbs, its exit codes, and how a problem is said.

Exit codes: 0 done; 1 a measurement or its data failed; 2 wrong usage, a wrong file or a request that is not allowed.
Every problem is one sentence on stderr. The verbs themselves are in the ``cli_…`` rooms beside this one.
"""

import sys
from importlib.metadata import version

import typer

from halidescope.acquisition.problems import ProblemError
from halidescope.drivers.errors import InstrumentError
from halidescope.gui import cli_analyse, cli_data, cli_instruments, cli_measure, cli_models, cli_reproduce
from halidescope.gui.terminal import complain

app = typer.Typer(
    rich_markup_mode=None, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)
for room in (cli_measure, cli_instruments, cli_analyse, cli_data, cli_models, cli_reproduce):
    for verb in room.VERBS:
        app.command()(verb)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"halidescope {version('halidescope')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def halidescope(
    context: typer.Context,
    show_version: bool = typer.Option(
        False, "--version", callback=_say_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Photoluminescence microscopy of light-sensitive semiconductors: laser, stage, spectrometer, analysis.

    Without a verb the main window opens.
    """
    if context.invoked_subcommand is None:
        raise typer.Exit(cli_measure.open_window())


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        given = cli_analyse.gathered(sys.argv[1:] if arguments is None else arguments)
        return app(args=given, prog_name="halidescope", standalone_mode=False) or 0
    except typer.TyperException as error:
        complain(f"{error.format_message()} (see `halidescope --help`)")
        return 2
    except InstrumentError as error:
        complain(str(error))
        return 1
    except ProblemError as error:
        complain(str(error))
        return error.exit_code
    except typer.Abort:
        complain("interrupted")
        return 130


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
