"""Particle swarms."""

from blackbox.algorithms.method import Method, Proof

ROWS = [
    Method(
        "pso",
        "pso:PSO",
        "Particle swarm optimization on whole-swarm arrays",
        "blackbox",
        kind="global",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="the swarm; with updating='immediate' one particle",
        proof=Proof(1e-4, 3, 20_000, {"maxiter": 200}),
        tolerates_failures=True,
        steady=True,
        tolerance_options=("minfunc",),
        noise="tolerated",
        paper="Kennedy, J., Eberhart, R. (1995), Particle swarm optimization, ICNN, 1942-1948",
        memory="the swarm, its velocities and its bests",
    ),
    Method(
        "pyswarm",
        "pyswarm:PySwarm",
        "Particle swarm optimization by the library pyswarm itself",
        "pyswarm",
        kind="global",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        constraints="native",
        batch="one particle",
        proof=Proof(1e-4, 3, 20_000, {"maxiter": 200}),
        tolerates_failures=True,
        tolerance_options=("minfunc",),
        noise="tolerated",
        paper="Kennedy, J., Eberhart, R. (1995), Particle swarm optimization, ICNN, 1942-1948",
        memory="noise for all iterations, 2 maxiter x swarmsize x n",
    ),
]
