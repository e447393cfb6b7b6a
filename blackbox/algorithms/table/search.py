"""Global methods of scipy."""

from blackbox.algorithms.method import Method, Proof

ROWS = [
    Method(
        "dual_annealing",
        "dual_annealing:DualAnnealing",
        "Generalized simulated annealing with local searches",
        "scipy",
        kind="global",
        gradients="optional",
        bounds="required",
        start="seeded",
        constraints="lagrangian",
        batch="one point; in local searches the stencil",
        proof=Proof(1e-6, 100, 10_000),
        tolerates_failures=True,
        lenient=True,
        paper="Xiang, Y., Sun, D. Y., Fan, W., Gong, X. G. (1997), Generalized simulated annealing "
        "algorithm and its application to the Thomson model, Physics Letters A 233, 216-220",
        memory="the local search, about 50 n",
    ),
    Method(
        "differential_evolution",
        "differential_evolution:DifferentialEvolution",
        "Differential evolution, then a local search",
        "scipy",
        kind="global",
        gradients="optional",
        bounds="required",
        start="seeded",
        batch="a generation, popsize x n; in the last local search the stencil",
        proof=Proof(1e-6, 100, 10_000),
        constraints="native",
        integers="native",
        noise="tolerated",
        tolerates_failures=True,
        tolerance_options=("tol",),
        paper="Storn, R., Price, K. (1997), Differential evolution: a simple and efficient "
        "heuristic for global optimization over continuous spaces, Journal of Global Optimization "
        "11, 341-359",
        memory="the population and its trials, 2 popsize x n points; the local search, about 50 n",
        matrices=60,
    ),
    Method(
        "basinhopping",
        "basinhopping:BasinHopping",
        "Basin hopping: random steps, each with a local search",
        "scipy",
        kind="global",
        gradients="optional",
        bounds="strict",
        start="seeded",
        constraints="lagrangian",
        batch="one point, then its stencil",
        proof=Proof(1e-6, 100, 10_000),
        paper="Wales, D. J., Doye, J. P. K. (1997), Global optimization by basin-hopping and the "
        "lowest energy structures of Lennard-Jones clusters containing up to 110 atoms, Journal "
        "of Physical Chemistry A 101, 5111-5116",
        memory="the local search, about 50 n",
    ),
    Method(
        "shgo",
        "shgo:SHGO",
        "Simplicial homology: samples, then a local search from each that its neighbours surround",
        "scipy",
        kind="global",
        gradients="optional",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="an iteration's sampling points; in local searches one point, then its stencil",
        proof=Proof(1e-6, 100, 10_000),
        constraints="native",
        integers="refused",
        random=False,
        paper="Endres, S. C., Sandrock, C., Focke, W. W. (2018), A simplicial homology algorithm "
        "for Lipschitz optimisation, Journal of Global Optimization 72, 181-217",
        memory="all sampling points and their neighbours: 2^n + 1 an iteration, or n with "
        "sampling_method='sobol'; the local search, n x n",
        matrices=1,
    ),
    Method(
        "direct",
        "direct:Direct",
        "DIRECT: divides the box into ever smaller boxes where it looks promising",
        "scipy",
        kind="global",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="one point",
        proof=Proof(1e-4, 3, 10_000, {"vol_tol": 0.0, "maxfun": 10_000}),
        constraints="lagrangian",
        random=False,
        paper="Jones, D. R., Perttunen, C. D., Stuckman, B. E. (1993), Lipschitzian optimization "
        "without the Lipschitz constant, Journal of Optimization Theory and Applications 79, "
        "157-181",
        memory="all points: maxfun of them, 1,000 n by default",
        matrices=3000,
    ),
]
