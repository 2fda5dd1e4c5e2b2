"""Many files analysed for the command line: what is asked, where results go, and what is said of each file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import typer

from halidescope.acquisition.analysis_file import AnalysisFile, anchored, load_analysis
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.listing import parts_in
from halidescope.acquisition.many import over_files
from halidescope.acquisition.problems import BadFileError, RefusedRunError, ScanFileError
from halidescope.acquisition.results_file import is_results, results_path, store_results
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.gui.analyse_job import Done, Job, analyse_file
from halidescope.gui.terminal import complain, say_json
from halidescope.gui.values import plus_minus


@dataclass(frozen=True)
class Wanted:
    """The options of the verb, as a person gave them."""

    references: tuple[Path, ...] = ()
    labels: tuple[str, ...] = ()
    config: Path | None = None
    out: Path | None = None
    store: bool = False
    as_json: bool = False
    jobs: int | None = None
    scheduler: str | None = None


def analyse_files(files: Sequence[Path], wanted: Wanted, *, stored: bool = False) -> None:
    """Analyse the files, or show what is ``stored`` beside them.

    Raises
    ------
    BadFileError, RefusedRunError
        Before anything is analysed: a wrong analysis file, two files of one name.
    ScanFileError
        After all: some files could not be analysed or stored.
    """
    settings = _settings(wanted.config, wanted.references, wanted.labels)
    # `analyse *.nxs` meets its own results
    measured = [part for file in files for part in parts_in(file) if not is_results(part)]
    if not measured:
        raise ScanFileError(f"{files[0]}: holds results of analyses; give the measured file beside it")
    if stored:
        _show_stored(measured, as_json=wanted.as_json)
        return
    targets = _targets(measured, wanted.out, wanted.store)
    work = [
        Job(str(file.absolute()), str(file), settings, page=wanted.out is not None, keep=bool(targets[file]),
            inputs=tuple(str(path) for path in _inputs(settings, wanted.config)))
        for file in measured
    ]  # fmt: skip
    failed = 0
    results = over_files(analyse_file, work, processes=wanted.jobs, scheduler=wanted.scheduler)
    for file, done in zip(measured, results, strict=True):
        if done.problem:
            complain(done.problem)
            failed += 1
            continue
        if wanted.as_json:
            say_json(done.plain)
        else:
            typer.echo(done.words)
        try:
            _keep(file, done, wanted.out, targets[file])
        except ScanFileError as error:
            complain(str(error))
            failed += 1
    if failed:
        raise ScanFileError(f"{failed} of {len(measured)} files could not be analysed or stored; see above")


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
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedRunError(f"folder {out}: cannot be made ({error}); choose another with --out") from error
    folders = {file: [*([out] if out is not None else []), *([file.parent] if store else [])] for file in measured}
    return {
        file: list({folder.absolute(): results_path(folder / file.name) for folder in where}.values())
        for file, where in folders.items()
    }


def _keep(file: Path, done: Done, out: Path | None, targets: Sequence[Path]) -> None:
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
        with open_any(file) as scan:
            runs = scan.stored_analyses()
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
