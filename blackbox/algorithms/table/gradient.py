"""Methods that live by gradients: torch.optim."""

from blackbox.algorithms.method import Method, Proof

ROWS = [
    Method(
        "adam",
        "descent.rules:Adam",
        "Adam, gradient descent with adaptive moments; k starts run as one batch",
        "torch",
        kind="local",
        gradients="optional",
        bounds="strict",
        start="used",
        many_starts=True,
        batch="the starts (k, n); without gradients their stencils",
        proof=Proof(1e-6, 10, 20_000, {"lr": 0.05}),
        changing=True,
        random=False,
        integers="refused",
        noise="tolerated",
        constraints="lagrangian",
        default_budget=10_000,
        paper="Kingma, D. P., Ba, J. (2015), Adam: a method for stochastic optimization, ICLR",
        memory="two moments a start",
    ),
]
