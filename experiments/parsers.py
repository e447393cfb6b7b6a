"""The arguments of the commands that measure: what argparse is told of each."""

import argparse
from pathlib import Path

from experiments.arguments import (
    RELIABILITY,
    add_out,
    count,
    default,
    names,
    parts,
    seconds,
    seed,
)


def reproduce(parser: argparse.ArgumentParser) -> None:
    """Run the article's experiment and hold it against what was published.

    Writes the article's figure, honest ones by cost, a table and JSON. Exit code 1 where a loss
    that its seed determines does not come back.

    try:
      experiments reproduce
      experiments reproduce --seeds 20 --out elsewhere
      experiments reproduce --json | jq .checks
    """
    add_out(parser, "results/article")
    parser.add_argument(
        "--seeds",
        type=count,
        default=200,
        metavar="N",
        help=default("seeds of CMA-ES, for its distribution"),
    )


def speed(parser: argparse.ArgumentParser) -> None:
    """Measure our speed beside the libraries called by hand.

    Interleaved runs, medians. A missed goal is reported and is no failure. Topics: `loop`, the
    loops around optimizers; `methods`, each method beside its library, and its memory; `harness`,
    comparisons beside the bare loops; `population`, many candidates through a model: time, memory,
    gradients; `training`, gradient methods beside loops written by hand; `trainings`, many
    trainings at once beside one after another; `halving`, how many epochs it takes when the worse
    ones are dropped; `sampler`, ours beside Optuna's own, in time and in how far they come. Peers
    that are not installed are left out.

    try:
      experiments speed
      experiments speed --quick --json
      experiments speed methods
      experiments speed harness
      experiments speed population --device cuda
      experiments speed training
      experiments speed trainings
      experiments speed halving
      experiments speed sampler
    """
    parser.add_argument(
        "topic",
        nargs="?",
        choices=(
            "loop",
            "methods",
            "harness",
            "population",
            "training",
            "trainings",
            "halving",
            "sampler",
        ),
        default="loop",
        help=default("what to measure"),
    )
    add_out(parser, "results/speed")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer sizes")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda", "mps"),
        help="population: where the models are (default: cpu)",
    )
    parser.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="population: threads of all sides (default: 1)",
    )


def agreement(parser: argparse.ArgumentParser) -> None:
    """Hold losses and gradients of all paths against a plain loop.

    Networks of every kind, in float64 and float32. Exit code 1 where a difference is beyond its
    tolerance.

    try:
      experiments agreement --out elsewhere --json
    """
    add_out(parser, "results/agreement")


def drop_in(parser: argparse.ArgumentParser) -> None:
    """Run scipy's own tests of its minimize with ours in its place; 1 where any fails.

    try:
      experiments drop-in
    """
    add_out(parser, "results/drop-in")


def diagnosis(parser: argparse.ArgumentParser) -> None:
    """Hold what results say of themselves against runs that are known to be faulty or healthy.

    Writes a confusion table and each run's findings.

    try:
      experiments diagnosis
      experiments diagnosis --out elsewhere --json
    """
    add_out(parser, "results/diagnosis")


def reliability(parser: argparse.ArgumentParser) -> None:
    """Try bad input, kill runs and their workers, measure what it costs to lose nothing.

    Every method meets every bad input; runs are killed at random moments and go on from their
    journals; workers are killed as they evaluate, here, by dask and by Ray (skipped where they are
    not installed); journals and guards are timed. Exit code 1 where something is lost, silent or
    hangs.

    try:
      experiments reliability --quick
      experiments reliability --only workers,costs
      experiments reliability --out elsewhere --json
    """
    add_out(parser, "results/reliability")
    parser.add_argument("--quick", action="store_true", help="fewer methods, fewer kills")
    parser.add_argument(
        "--only",
        type=parts,
        default=[],
        metavar="A,B",
        help=f"these parts alone: {', '.join(RELIABILITY)}",
    )


def tuning_quality(parser: argparse.ArgumentParser) -> None:
    """Tune six estimators of scikit-learn's by several methods, from many seeds; rank the methods.

    Writes each run as it ends, a table and a picture; stopped, the same command goes on. About an
    hour on two cores.

    try:
      experiments tuning-quality --seeds 2 --methods tpe,random --out elsewhere
    """
    add_out(parser, "results/quality/tuning")
    parser.add_argument("--seeds", type=count, default=20, metavar="N", help=default("runs a task"))
    parser.add_argument("--budget", type=count, default=60, metavar="N", help=default("trials"))
    parser.add_argument(
        "--methods",
        type=names,
        default=["auto", "tpe", "gp", "cma", "random"],
        metavar="A,B",
        help=default("methods, as `tune` takes them"),
    )
    parser.add_argument(
        "--workers", type=count, default=1, metavar="N", help=default("runs at a time")
    )
    parser.set_defaults(threads=1)


def journal(parser: argparse.ArgumentParser) -> None:
    """Show what the journal of a run holds; 1 where it is damaged.

    A journal is what `minimize(..., journal=FILE)` writes. Nothing is run or changed.

    try:
      experiments journal show run.journal
    """
    parser.add_argument("what", choices=("show",), help="what to do")
    parser.add_argument("file", type=Path, metavar="FILE", help="the journal")


def lr_test(parser: argparse.ArgumentParser) -> None:
    """Find out which learning rate a gradient method should begin with.

    Raises the learning rate from step to step and looks at the loss. Writes a picture and JSON
    where --out is given. Of problems without gradients, takes finite differences.

    try:
      experiments lr-test digits-mlp
      experiments lr-test article --methods adam,sgd,sgd:momentum=0.9 --out rates
    """
    parser.add_argument("problem", metavar="PROBLEM", help="see `experiments list`")
    parser.add_argument(
        "--methods",
        type=names,
        default=["adam", "sgd"],
        metavar="A,B:OPTION=VALUE",
        help="gradient methods, with commas between; options after colons (default: adam,sgd)",
    )
    parser.add_argument(
        "--steps", type=count, default=100, metavar="N", help=default("steps of each, at most")
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help=default("whose start to begin at")
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write picture and JSON here")


def tune(parser: argparse.ArgumentParser) -> None:
    """Search the hyperparameters with which a training of your own turns out best.

    FILE.py:train is a function `train(lr, width, ...) -> loss`, or yields a loss an epoch, or is a
    TrainingObjective. What is searched stands in a TOML or JSON file, or is called `space` in
    FILE.py. All trials are kept in a study of Optuna's: a search that was stopped, or killed, goes
    on by the same command; a larger budget goes further; several at once share the work. A page,
    pictures, trials.csv and best.json are written.

    try:
      experiments tune digits.py:train --space space.toml
      experiments tune digits.py:train --budget 60 --method tpe --workers 2
      experiments tune digits.py:train --method cma:popsize=16 --fidelity hyperband --steps 2000
      experiments tune digits.py:train --storage postgresql://me@there/studies --name digits
      experiments report results/tuning/digits-train
    """
    parser.add_argument("function", metavar="FILE.py:NAME", help="what is trained")
    parser.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="TOML or JSON (default: what FILE.py calls `space`)",
    )
    parser.add_argument(
        "--budget",
        type=count,
        metavar="N",
        help="trials in all (default: 100, where nothing else ends it)",
    )
    parser.add_argument("--steps", type=count, metavar="N", help="epochs of all trials together")
    parser.add_argument(
        "--max-seconds", type=seconds, metavar="S", help="no trial begins after so many seconds"
    )
    parser.add_argument(
        "--method",
        default="auto",
        metavar="A:OPTION=VALUE",
        help=default("tpe, gp, cma, random, sobol, grid and others; options after colons"),
    )
    parser.add_argument(
        "--fidelity",
        choices=("hyperband", "halving", "median"),
        help="stop trainings early that promise little, by what they tell after each epoch",
    )
    parser.add_argument("--maximize", action="store_true", help="more is better")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help=default("of the search"))
    parser.add_argument(
        "--workers", type=count, metavar="N", help="train in so many processes (default: here)"
    )
    parser.add_argument(
        "--timeout", type=seconds, metavar="S", help="a training that takes longer has failed"
    )
    parser.add_argument(
        "--at-once",
        type=count,
        metavar="N",
        help="how many a batched objective trains together (default: the method's generation)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write (default: results/tuning/NAME)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="where trials are kept: a file, or a database's URL (default: DIR/study.sqlite)",
    )
    parser.add_argument(
        "--name", metavar="NAME", help="the study's (default: FILE-NAME, as in digits-train)"
    )
