"""Which method? One table of rules, read from the top: the first that fits is the answer.

``method="auto"`` asks the same table, and the page "Which method?" prints it.
"""

from math import inf
from typing import Any, NamedTuple

from blackbox.cases import BoundsGiven, Case, Rule, When

_BBOB = "measured on BBOB, 2 to 20 variables"

RULES = (
    Rule(
        When("changing gradients"),
        "adam",
        "averages gradients over batches and compares no values between them",
        "Kingma and Ba (2015)",
    ),
    Rule(
        When("changing", to=500),
        "cma",
        "ranks values within a batch only",
        "Hansen (2016)",
    ),
    Rule(
        When("integers constraints", bounds="all"),
        "differential_evolution",
        "keeps integers and constraints by rules of its own",
        "Storn and Price (1997); Lampinen (2002)",
    ),
    Rule(
        When("constraints many_optima", no="expensive", bounds="all"),
        "differential_evolution",
        "searches the whole box and keeps constraints by rules of its own",
        "Storn and Price (1997); Lampinen (2002)",
    ),
    Rule(
        When("integers", to=500),
        "cma",
        "keeps a margin of variance, so that integer variables don't freeze",
        "Hamano, Saito, Nomura and Shirakawa (2022)",
    ),
    Rule(
        When("constraints smooth expensive", no="gradients", to=50),
        "cobyqa",
        "models objective and constraints from few evaluations, without slopes",
        "Ragonneau (2022)",
    ),
    Rule(
        When("constraints smooth", to=500),
        "slsqp",
        "takes constraints by its nature: each step is a quadratic program within them",
        "Kraft (1988)",
    ),
    Rule(
        When("constraints smooth gradients", above=500),
        "trust-constr",
        "takes constraints natively, and its trust region copes with a large n",
        "Byrd, Hribar and Nocedal (1999)",
    ),
    Rule(
        When("noisy gradients"),
        "adam",
        "averages the noise of gradients over steps; line searches would believe it",
        "Kingma and Ba (2015)",
    ),
    Rule(
        When("noisy", to=500),
        "cma",
        "measures how noise changes ranks, and answers it",
        "Hansen, Niederberger, Guzzella and Koumoutsakos (2009)",
    ),
    Rule(
        When("many_optima gradients smooth", bounds="all"),
        "dual_annealing",
        "jumps over the whole box, and uses gradients in its local searches",
        "Xiang, Sun, Fan and Gong (1997)",
    ),
    Rule(
        When("many_optima gradients smooth", to=500),
        ("cma", "l-bfgs-b"),
        "a population finds the basin, gradients its floor",
        "Hansen and Kern (2004); Zhu, Byrd, Lu and Nocedal (1997)",
    ),
    Rule(
        When("many_optima smooth", no="gradients expensive", to=100, within=100),
        "slsqp",
        "fast local searches from random starts, until the budget is spent",
        f"best of all within 1,000 evaluations a variable, 2026 ({_BBOB})",
        {"restarts": inf},
    ),
    Rule(
        When("many_optima", beyond=100, to=500),
        "bipop-cma",
        "restarts with large and small populations for as long as the budget lasts",
        f"Hansen (2009); restarted CMA-ES solved the most ({_BBOB})",
    ),
    Rule(
        When("hessian gradients smooth", bounds="none", to=500),
        "trust-exact",
        "Newton steps in a trust region: also where the Hessian is indefinite",
        "Conn, Gould and Toint (2000)",
    ),
    Rule(
        When("gradients smooth", to=100),
        "slsqp",
        "gradients and a small n: quasi-Newton steps with the whole matrix",
        f"Kraft (1988); best of all within 1,000 evaluations a variable ({_BBOB})",
    ),
    Rule(
        When("gradients smooth"),
        "l-bfgs-b",
        "gradients and a large n: quasi-Newton steps from ten pairs of vectors",
        "Byrd, Lu, Nocedal and Zhu (1995); ahead of Adam on the full data of a digit classifier",
    ),
    Rule(
        When("gradients"),
        "adam",
        "small steps, which need no line search, get over kinks",
        "Kingma and Ba (2015)",
    ),
    Rule(
        When("expensive", to=50),
        "cobyqa",
        "a quadratic model makes the most of few evaluations",
        "Ragonneau (2022); More and Wild (2009); ahead of slsqp on 15 of BBOB's 24 functions in 20 "
        "variables at 10 evaluations a variable",
    ),
    Rule(
        When(no="smooth", to=5, within=100),
        "nelder-mead",
        "compares values only, which is enough for a few variables",
        "Nelder and Mead (1965); Hansen et al. (2010)",
    ),
    Rule(
        When("smooth", to=100, within=100),
        "slsqp",
        "fewer than 100 evaluations for each variable: a local search gains the most early on",
        f"Kraft (1988); best up to 100 evaluations a variable ({_BBOB})",
    ),
    Rule(
        When(above=100, within=5),
        "sep-cma",
        "a gradient by differences would take a good part of the budget",
        "Ros and Hansen (2008); ahead on 11 of 13 BBOB functions in 100 variables at 2 evaluations "
        "a variable",
    ),
    Rule(
        When("smooth", within=100),
        "l-bfgs-b",
        "fewer than 100 evaluations for each of many variables: slopes are the best use of them",
        "Byrd, Lu, Nocedal and Zhu (1995); ahead of sep-cma on 9 of 13 BBOB functions in 100 "
        "variables at 10 evaluations a variable",
    ),
    Rule(
        When("smooth", beyond=100, within=2000, to=100),
        ("slsqp", "ipop-cma"),
        "local searches gain the most early on; then a population finds what they can't",
        "Auger and Hansen (2005); first of all methods here at 1,000 evaluations a variable, level "
        f"with slsqp at 100 ({_BBOB})",
        {"slsqp": {"restarts": inf, "share": 0.1}},
    ),
    Rule(
        When(to=500),
        "cma",
        "no gradients, and evaluations enough to learn the problem's shape",
        f"Hansen (2016); first from about 400 evaluations a variable on ({_BBOB})",
    ),
    Rule(
        When(),
        "sep-cma",
        "n is large: a variance for each variable is learned fast, and takes little memory",
        "Ros and Hansen (2008)",
    ),
)
"""Read from the top; a rule is passed over where its method is not installed, cannot take the
problem, or would not fit into memory."""


class Recommendation(NamedTuple):
    """A method and why.

    Attributes
    ----------
    method
        A name of `blackbox.ALGORITHMS`; or a list of them, a chain, as `minimize` takes it.
    options
        What to set.
    reason, source
        Why, in a sentence; where that is known from.
    """

    method: str | list[str]
    options: dict[str, Any]
    reason: str
    source: str


def recommend(
    n: int,
    budget: int | None = None,
    *,
    gradients: bool = False,
    hessian: bool = False,
    smooth: bool = True,
    many_optima: bool = False,
    noisy: bool = False,
    changing: bool = False,
    constraints: bool = False,
    integers: bool = False,
    expensive: bool | None = None,
    bounds: BoundsGiven = "none",
    memory: float | None = None,
) -> Recommendation:
    """Recommend a method by what is known of the problem.

    Parameters
    ----------
    n
        Number of variables.
    budget
        Evaluations that can be spent; None: as many as the method wants.
    gradients, hessian
        Whether the objective gives them.
    smooth
        Whether it has slopes, known or not; False where it has kinks or jumps.
    many_optima
        Whether many local optima are expected, and the best of them is wanted.
    noisy
        Whether the same point gives another value each time.
    changing
        Whether the objective changes from batch to batch, as with minibatches.
    constraints, integers
        Whether there are constraints beyond bounds, and integer variables.
    expensive
        Whether an evaluation is dear: seconds or more. None: where the budget is at most 10
        evaluations a variable.
    bounds
        ``"all"``: every variable has two finite ones; ``"some"``; or ``"none"``.
    memory
        Bytes that the method may take for its matrices; None: 1 GiB.

    Raises
    ------
    TypeError, ValueError
        For an argument that is not as described.

    Examples
    --------
    >>> recommend(10, 50_000).method
    'cma'
    """
    case = Case(
        n, budget, gradients, hessian, smooth, many_optima, noisy, changing, constraints, integers,
        expensive, bounds, memory,
    )  # fmt: skip
    rule = next(rule for rule in RULES if rule.fits(case))
    method = rule.method if isinstance(rule.method, str) else list(rule.method)
    return Recommendation(method, dict(rule.options), rule.reason, rule.source)
