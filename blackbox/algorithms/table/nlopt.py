"""Local methods of nlopt, which is an extra."""

from functools import partial

from blackbox.algorithms.method import Method, Proof

_local = partial(
    Method,
    library="nlopt",
    kind="local",
    gradients="none",
    bounds="strict",
    start="used",
    batch="one point",
    random=False,
    constraints="lagrangian",
    tolerance_options=("xtol_rel",),
    requires="nlopt",
)

_POWELL = (
    "Powell, M. J. D. (2009), The BOBYQA algorithm for bound constrained optimization without "
    "derivatives, report DAMTP 2009/NA06, Cambridge"
)

ROWS = [
    _local(
        "bobyqa",
        "nlopt:BOBYQA",
        "BOBYQA: quadratic models in a trust region, without derivatives",
        proof=Proof(1e-8, 100, 2000),
        paper=_POWELL,
        memory="a quadratic model of 2 n + 1 points, three n x n matrices",
        matrices=5,
    ),
    _local(
        "sbplx",
        "nlopt:Sbplx",
        "Sbplx: Nelder-Mead on a sequence of subspaces",
        proof=Proof(1e-6, 100, 6000),
        paper="Rowan, T. H. (1990), Functional stability analysis of numerical algorithms, thesis, "
        "University of Texas at Austin",
        memory="a few points",
    ),
    _local(
        "nlopt",
        "nlopt:NLopt",
        "Any of nlopt's local methods without derivatives, by the option algorithm",
        proof=Proof(1e-8, 100, 2000),
        paper=_POWELL,
        memory="that of the algorithm chosen: models of BOBYQA and NEWUOA, simplices of the others",
        matrices=5,
    ),
]
