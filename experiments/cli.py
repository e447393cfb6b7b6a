"""The command line: ``experiments compare``, ``report``, ``reproduce``, ``list`` and more.

Exit codes: 0 done; 1 a check or the work failed; 2 the command makes no sense; 130 stopped by
Ctrl-C. Only what a command needs is imported, so that ``--help`` answers at once.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments import parsers
from experiments.arguments import budget, count, default, names, seconds

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

ABOUT = "Compare optimization methods: same starts, equal budgets, honest pictures."
EXAMPLES = """\
try:
  experiments list                                     what there is
  experiments reproduce                                the article: figures and table
  experiments compare article --methods slsqp,cma      two methods, ten seeds
  experiments compare article --budget 500 --out cmp   all methods; figures and a page, too
  experiments report cmp                               page and figures again, from the folder
  experiments tuning-quality                           how well tuning searches, method by method
  experiments tune digits.py:train                     hyperparameters of a training of yours
  experiments quality bbob                             how well the methods search, in one number
  experiments lr-test digits-mlp                       which learning rate to begin with
  experiments export cmp --to csv                      for other programs
  experiments speed --quick                            how fast, beside the libraries
  experiments agreement                                how exact, for networks of every kind
  experiments drop-in                                  scipy's own tests, on our minimize
  experiments journal show run.journal                 what a run has written down

exit codes: 0 done, 1 a check failed, 2 the command makes no sense, 130 stopped by Ctrl-C
"""


class UsageError(Exception):
    """The command makes no sense; the text says why, in a sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nTry `{self.prog} --help`.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except UsageError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # `experiments list | head`
        sys.stderr.close()
        return OK
    except OSError as error:
        print(f"experiments: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("experiments: stopped", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:  # argparse, after --help
        return int(stop.code or OK)


def _run(given: list[str]) -> int:
    parser = _parser()
    if not given:
        parser.print_help(sys.stderr)
        return USAGE
    if given == ["--version"]:
        from blackbox import __version__

        print(__version__)
        return OK
    _check_command(given[0])
    options = parser.parse_args(given)
    command: Callable[[argparse.Namespace], int] = options.run
    return command(options)


def _check_command(word: str) -> None:
    if word.startswith("-") or word in _COMMANDS:
        return
    close = difflib.get_close_matches(word, _COMMANDS, n=1, cutoff=0.4)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise UsageError(f"there is no command {word!r}{hint}; there are: {', '.join(_COMMANDS)}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="experiments",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for name, (add, run) in _COMMANDS.items():
        about, _, examples = (add.__doc__ or "").partition("\n\n")
        sub = commands.add_parser(
            name,
            help=about[:1].lower() + about[1:].rstrip("."),
            description=about,
            epilog=_dedent(examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(sub)
        sub.add_argument("--json", action="store_true", help="print JSON on stdout, nothing else")
        sub.set_defaults(run=run)
    return parser


def _dedent(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.rstrip().splitlines())


def _list(parser: argparse.ArgumentParser) -> None:
    """Show the problems and the methods, with what they can do.

    try:
      experiments list
      experiments list methods
      experiments list problems --json
    """
    parser.add_argument("what", nargs="?", choices=("problems", "methods"), help="default: both")


def _compare(parser: argparse.ArgumentParser) -> None:
    """Run methods on problems over seeds: same starts, equal budgets, statistics and pictures.

    Every run spends exactly the budget: a method that ends early begins again from the seed's next
    start. Options of a method, and parameters of a problem, follow its name after colons. The
    method `start` is the start alone, evaluated once: what the others should beat. `auto` is what
    minimize() would choose. A function of your own, of one vector, is a problem too; it tells its
    box by an attribute: `function.bounds = [(-5, 5)] * 10`.

    With --out, a comparison that was stopped goes on where it was by the same command; more seeds,
    methods or problems are added to what is there.

    try:
      experiments compare article
      experiments compare article --methods slsqp,cma,random --seeds 30 --budget 1000
      experiments compare bbob:n=2,5:i=1-5 --seeds 1 --budget 100n --workers 2 --out bbob
      experiments compare path/to/file.py:function --out mine
      experiments compare finetune --methods start,cma:CMA_diagonal=True:popsize=32
      experiments compare article --gradients --by passes --out passes
      experiments compare digits-mlp --gradients --methods "adam:schedule='warmup(5%) + cosine'"
    """
    parser.add_argument("problems", nargs="+", metavar="PROBLEM", help="see `experiments list`")
    parser.add_argument(
        "--methods",
        type=names,
        metavar="A,B:OPTION=VALUE",
        help="with commas between; options after colons (default: all, as they are)",
    )
    parser.add_argument(
        "--seeds", type=count, default=10, metavar="N", help=default("how many, from 0")
    )
    parser.add_argument(
        "--budget",
        type=budget,
        default=2000,
        metavar="N",
        help=default(
            "evaluations of each run, finite differences included; 100n: a hundred a variable"
        ),
    )
    parser.add_argument(
        "--max-seconds",
        type=seconds,
        metavar="S",
        help="end runs after so many seconds, too",
    )
    parser.add_argument(
        "--validate-every",
        type=count,
        metavar="N",
        help="measure losses on validation data every so many generations, where a problem has any",
    )
    parser.add_argument(
        "--patience",
        type=count,
        metavar="N",
        help="stop a run early, for good, after so many validations without a new lowest loss; "
        "where there is no validation data, generations without a better value",
    )
    parser.add_argument(
        "--gradients",
        action="store_true",
        help="let methods use the problem's own gradients, counted beside evaluations",
    )
    parser.add_argument(
        "--no-restarts",
        dest="restarts",
        action="store_false",
        help="a method that ends early stays ended",
    )
    _by(parser)
    parser.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help=default("processes side by side"),
    )
    parser.add_argument(
        "--threads",
        type=count,
        default=1,
        metavar="N",
        help=default("threads of each process"),
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep results here, with page, figures and report"
    )
    parser.add_argument(
        "--only",
        type=names,
        default=[],
        metavar="A,B",
        help="run these problems, methods or seed=N of the plan now, the rest later",
    )
    parser.add_argument(
        "--force", action="store_true", help="run again what is there; throws its results away"
    )
    parser.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="write TensorBoard's events here, too"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    """Write page, figures and report of a comparison, or a tuning, again, from its folder alone.

    Nothing is run; what is still running shows what it has.

    try:
      experiments report results/mine
      experiments report results/mine --by seconds
      experiments report results/tuning/digits-train
    """
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    _by(parser)


def _quality(parser: argparse.ArgumentParser) -> None:
    """Show how well the methods of a comparison search, from few evaluations to many.

    Areas under the runtimes up to 10, 100 and 1000 evaluations a variable, over all problems with a
    known optimum and in each dimension. Nothing is run; quality.md and quality.json are written.

    try:
      experiments quality results/comparisons/bbob --out elsewhere --json
    """
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: the comparison's folder)"
    )


def _export(parser: argparse.ArgumentParser) -> None:
    """Write the results of a comparison for other programs.

    csv and parquet: a line a run, and a line an improvement. coco: the data format of COCO, for
    `python -m cocopp` (problems of the family bbob only).

    try:
      experiments export results/mine --to csv
      experiments export bbob --to coco --out exdata && python -m cocopp exdata/*
    """
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    parser.add_argument(
        "--to", choices=("csv", "parquet", "coco"), default="csv", help=default("format")
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: DIR/csv, DIR/parquet, DIR/coco)"
    )


def _by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        choices=("evaluations", "passes", "seconds"),
        default="evaluations",
        help=default(
            "what budgets are equal in, in tables and words: evaluations; forward passes, a "
            "gradient being two more; or seconds"
        ),
    )


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC")
"""What linear algebra libraries and JAX read once, when they are loaded."""


def _lazy(where: str, *, fix_threads: bool = False) -> Callable[[argparse.Namespace], int]:
    """A command, ``module:function`` of `experiments.commands`, imported when it is run."""

    def run(options: argparse.Namespace) -> int:
        if fix_threads and "numpy" not in sys.modules:
            os.environ.update(dict.fromkeys(_THREADS, str(options.threads or 1)))
        module, name = where.split(":")
        command: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"experiments.commands.{module}"), name
        )
        return command(options)

    return run


_COMMANDS: dict[str, tuple[Callable[[Any], None], Callable[[argparse.Namespace], int]]] = {
    "reproduce": (parsers.reproduce, _lazy("measuring:reproduce")),
    "compare": (_compare, _lazy("comparison:compare", fix_threads=True)),
    "report": (_report, _lazy("comparison:report")),
    "tune": (parsers.tune, _lazy("tuning:tune")),
    "quality": (_quality, _lazy("quality:quality")),
    "tuning-quality": (
        parsers.tuning_quality,
        _lazy("tuning_quality:tuning_quality", fix_threads=True),
    ),
    "export": (_export, _lazy("comparison:export")),
    "list": (_list, _lazy("listing:listing")),
    "lr-test": (parsers.lr_test, _lazy("lr_test:lr_test")),
    "speed": (parsers.speed, _lazy("measuring:speed", fix_threads=True)),
    "agreement": (parsers.agreement, _lazy("measuring:agreement")),
    "diagnosis": (parsers.diagnosis, _lazy("diagnosing:diagnosis")),
    "drop-in": (parsers.drop_in, _lazy("measuring:drop_in")),
    "reliability": (parsers.reliability, _lazy("reliability:reliability")),
    "journal": (parsers.journal, _lazy("reliability:journal")),
}
