"""The verb ``analyse``: saved scans analysed anew, here, on all processors, or on a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from halidescope.acquisition.analysis_file import AnalysisFile, anchored, load_analysis
from halidescope.acquisition.problems import BadFileError, RefusedRunError, ScanFileError
from halidescope.acquisition.results_file import (
    StoredAnalysis,
    is_results,
    read_results,
    results_path,
    store_results,
)
from halidescope.gui.terminal import complain, say_json
from halidescope.gui.values import plus_minus

if TYPE_CHECKING:
    from halidescope.gui.analyse_job import Done


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
    from halidescope.acquisition.listing import parts_in
    from halidescope.acquisition.many import over_files
    from halidescope.gui.analyse_job import Job, analyse_file

    settings = _settings(config, references, labels)
    # `analyse *.nxs` meets its own results
    measured = [part for file in files for part in parts_in(file) if not is_results(part)]
    if not measured:
        raise ScanFileError(f"{files[0]}: holds results of analyses; give the measured file beside it")
    if stored:
        _show_stored(measured, as_json=as_json)
        return
    targets = _targets(measured, out, store)
    work = [
        Job(str(file.absolute()), str(file), settings, page=out is not None, keep=bool(targets[file]),
            inputs=tuple(str(path) for path in _inputs(settings, config)))
        for file in measured
    ]  # fmt: skip
    failed = 0
    for file, done in zip(measured, over_files(analyse_file, work, processes=jobs, scheduler=scheduler), strict=True):
        if done.problem:
            complain(done.problem)
            failed += 1
            continue
        if as_json:
            say_json(done.plain)
        else:
            typer.echo(done.words)
        try:
            _keep(file, done, out, targets[file])
        except ScanFileError as error:
            complain(str(error))
            failed += 1
    if failed:
        raise ScanFileError(f"{failed} of {len(measured)} files could not be analysed or stored; see above")


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


def _settings(config: Path | None, references: Sequence[Path], labels: Sequence[str]) -> AnalysisFile:
    """The analysis file, its endmembers overruled by the command line's."""
    settings = AnalysisFile() if config is None else load_analysis(config)
    if labels and len(labels) != len(references):
        raise BadFileError(f"{len(labels)} labels for {len(references)} reference files; give one label a file")
    if not references:
        return settings
    table = settings.references.model_copy(
        update={"files": tuple(str(path) for path in references), "labels": tuple(labels), "compositions": (),
                "extract": 0}
    )  # fmt: skip
    if table.relative_yields and len(table.relative_yields) != len(references):
        raise BadFileError(f"{len(table.relative_yields)} relative_yields for {len(references)} reference files")
    return anchored(settings.model_copy(update={"references": table}), Path.cwd())


def _inputs(settings: AnalysisFile, config: Path | None) -> list[Path]:
    """Files besides the scan that results depend on."""
    names = [*settings.references.files, *settings.references.library.values(), settings.corrections.response]
    return [*(Path(name) for name in names if name), *([config.absolute()] if config is not None else [])]


def _targets(measured: Sequence[Path], out: Path | None, store: bool) -> dict[Path, list[Path]]:
    """Where every file's arrays go; raises RefusedRunError if two files would share a name."""
    if out is not None:
        names = [file.name for file in measured]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise RefusedRunError(f"{twice[0]}: two files have this name; analyse them into different folders")
        out.mkdir(parents=True, exist_ok=True)
    folders = {file: [*([out] if out is not None else []), *([file.parent] if store else [])] for file in measured}
    return {
        file: list({folder.absolute(): results_path(folder / file.name) for folder in where}.values())
        for file, where in folders.items()
    }


def _keep(file: Path, done: "Done", out: Path | None, targets: Sequence[Path]) -> None:
    """Write what was found; raises ScanFileError if that cannot be done."""
    if out is not None:
        name = out / file.name
        text = msgspec.json.format(msgspec.json.encode(done.plain), indent=2)
        try:
            name.with_name(f"{name.name}.json").write_bytes(text + b"\n")
            name.with_name(f"{name.name}.html").write_text(done.page, encoding="utf-8")
        except OSError as error:
            raise ScanFileError(f"results of {file}: cannot be written ({error})") from error
    if done.kept is not None:
        for target in targets:
            beside = target.parent.absolute() == file.parent.absolute()
            store_results(file, done.kept, path=target, link=None if beside else str(file.absolute()))


def _show_stored(measured: Sequence[Path], *, as_json: bool) -> None:
    for file in measured:
        runs = read_results(file)
        if not runs and not file.exists():
            raise ScanFileError(f"{file}: is not there, nor analyses of it; check the path")
        if as_json:
            for run in runs:
                say_json({"file": str(file), **run.plain()})
            continue
        stored = f"{len(runs)} {'analysis' if len(runs) == 1 else 'analyses'} stored"
        typer.echo(f"{file}: {stored if runs else 'no analysis stored (--store adds one)'}")
        for run in runs:
            typer.echo("\n".join(_words(run)))


def _words(run: StoredAnalysis) -> list[str]:
    program = run.about.origin.get("versions", {}).get("halidescope", "?")
    lines = [f"  {run.title}, halidescope {program}, wavelengths in {run.about.medium}"]
    lines += [f"    {name:<24} {plus_minus(number)}" for name, number in run.numbers.items()]
    return [*lines, *(f"    {note}" for note in run.notes)]


VERBS = (analyse,)
