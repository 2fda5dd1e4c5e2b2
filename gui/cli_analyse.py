"""The verb ``analyse``; what it does is in :mod:`halidescope.gui.analyse_files`."""

from collections.abc import Sequence
from pathlib import Path

import typer


def analyse(
    files: list[Path] = typer.Argument(
        help="Measured files (.nxs, .nxs.journal), lists of them, or files of other programs."
    ),
    references: list[Path] = typer.Option(
        [], help="Measured endmembers, the phase that grows last. Default: those that the recipe named."
    ),
    labels: list[str] = typer.Option([], help="Name of an endmember, in the same order."),
    config: Path | None = typer.Option(None, help="Analysis file (TOML): corrections, endmembers, models."),
    out: Path | None = typer.Option(None, help="Folder for NAME.json, NAME.html and NAME.analysis.nxs of every file."),
    store: bool = typer.Option(False, help="Add the analysis to NAME.analysis.nxs beside every measured file."),
    stored: bool = typer.Option(False, help="Show the analyses that are stored beside the files; analyse nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per file."),
    jobs: int | None = typer.Option(None, min=1, help="Files at once; default: one per processor."),
    scheduler: str | None = typer.Option(None, help="Address of a Dask scheduler that shares out the files."),
) -> None:
    """Correct, unmix and fit measured files: kinetics of series, halo of maps, peaks and iodine content; with errors.

    A file that cannot be analysed is reported and the others go on; the exit code is then 1.
    """
    from halidescope.gui.analyse_files import Wanted, analyse_files

    analyse_files(
        files, Wanted(tuple(references), tuple(labels), config, out, store, as_json, jobs, scheduler), stored=stored
    )


def gathered(arguments: Sequence[str]) -> list[str]:
    """``analyse FILE --references A B`` as the parser knows it, ``--references A --references B``; same for labels.

    Only where the files come first: in ``--references A B FILE`` nobody could tell which is which.
    """
    if not arguments or arguments[0] != "analyse":
        return list(arguments)
    several, result, option = ("--references", "--labels"), [], ""
    files_first = len(arguments) > 1 and not arguments[1].startswith("-")
    for place, word in enumerate(arguments):
        if word.startswith("-"):
            option = word
            result.append(word)
        elif files_first and option in several and arguments[place - 1] != option:
            result += [option, word]
        else:
            result.append(word)
    return result


VERBS = (analyse,)
