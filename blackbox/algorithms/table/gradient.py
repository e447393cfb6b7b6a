"""Methods that live by gradients: torch.optim, and pytorch-optimizer, which is an extra."""

from functools import partial
from typing import Any

from blackbox.algorithms.method import Method, Proof

_rule = partial(
    Method,
    library="torch",
    kind="local",
    gradients="optional",
    bounds="strict",
    start="used",
    many_starts=True,
    batch="the starts (k, n); without gradients their stencils",
    changing=True,
    random=False,
    integers="refused",
    noise="tolerated",
    constraints="lagrangian",
    default_budget=10_000,
)
_apart = partial(
    _rule, batch="the starts (k, n), stepped one by one; without gradients their stencils"
)
_extra: dict[str, Any] = {"library": "pytorch-optimizer", "requires": "pytorch_optimizer"}

_TWO = "two vectors a start"

ROWS = [
    _rule(
        "sgd",
        "descent.rules:SGD",
        "Gradient descent, with or without momentum; k starts run as one batch",
        proof=Proof(1e-8, 10, 3000, {"lr": 0.05}),
        paper="Sutskever, I., Martens, J., Dahl, G., Hinton, G. (2013), On the importance of "
        "initialization and momentum in deep learning, ICML",
        memory="the momentum, a vector a start",
    ),
    _rule(
        "adagrad",
        "descent.rules:Adagrad",
        "Adagrad: each variable's rate falls with the sum of its squared gradients",
        proof=Proof(1e-8, 10, 5000, {"lr": 1.0}),
        paper="Duchi, J., Hazan, E., Singer, Y. (2011), Adaptive subgradient methods for online "
        "learning and stochastic optimization, Journal of Machine Learning Research 12, 2121-2159",
        memory="the sum of squares, a vector a start",
    ),
    _rule(
        "adadelta",
        "descent.rules:Adadelta",
        "Adadelta: steps in the ratio of past steps to past gradients, with no rate to choose",
        proof=Proof(1e-4, 10, 10_000, {"eps": 1e-3}),
        paper="Zeiler, M. D. (2012), ADADELTA: an adaptive learning rate method, arXiv:1212.5701",
        memory=_TWO,
    ),
    _rule(
        "rmsprop",
        "descent.rules:RMSprop",
        "RMSprop: gradients divided by a moving average of their size",
        proof=Proof(1e-6, 10, 5000, {"lr": 0.05}),
        paper="Tieleman, T., Hinton, G. (2012), Lecture 6.5: RMSprop, COURSERA: Neural networks "
        "for machine learning",
        memory="the mean square, a vector a start; a second with momentum, a third if centered",
    ),
    _rule(
        "rprop",
        "descent.rules:Rprop",
        "Rprop: steps by the gradient's signs alone, for exact gradients",
        proof=Proof(1e-8, 10, 5000),
        paper="Riedmiller, M., Braun, H. (1993), A direct adaptive method for faster "
        "backpropagation learning: the RPROP algorithm, ICNN",
        memory=_TWO,
        noise="exact",
    ),
    _rule(
        "adam",
        "descent.rules:Adam",
        "Adam, gradient descent with adaptive moments; k starts run as one batch",
        proof=Proof(1e-6, 10, 20_000, {"lr": 0.05}),
        paper="Kingma, D. P., Ba, J. (2015), Adam: a method for stochastic optimization, ICLR",
        memory="two moments a start",
    ),
    _rule(
        "adamw",
        "descent.rules:AdamW",
        "AdamW: Adam with a weight decay of its own",
        proof=Proof(1e-6, 10, 6000, {"lr": 0.05, "weight_decay": 0.0}),
        paper="Loshchilov, I., Hutter, F. (2019), Decoupled weight decay regularization, ICLR",
        memory="two moments a start",
    ),
    _rule(
        "nadam",
        "descent.rules:NAdam",
        "NAdam: Adam with Nesterov's momentum",
        proof=Proof(1e-6, 10, 6000, {"lr": 0.05}),
        paper="Dozat, T. (2016), Incorporating Nesterov momentum into Adam, ICLR workshop",
        memory="two moments a start",
    ),
    _rule(
        "radam",
        "descent.rules:RAdam",
        "RAdam: Adam, rectified while its averages are young",
        proof=Proof(1e-6, 10, 6000, {"lr": 0.05}),
        paper="Liu, L., Jiang, H., He, P., Chen, W., Liu, X., Gao, J., Han, J. (2020), On the "
        "variance of the adaptive learning rate and beyond, ICLR",
        memory="two moments a start",
    ),
    _rule(
        "adamax",
        "descent.rules:Adamax",
        "Adamax: Adam with the largest recent gradient in place of a mean square",
        proof=Proof(1e-6, 10, 10_000, {"lr": 0.1}),
        paper="Kingma, D. P., Ba, J. (2015), Adam: a method for stochastic optimization, ICLR",
        memory="two moments a start",
    ),
    _rule(
        "asgd",
        "descent.rules:ASGD",
        "Averaged gradient descent: torch's rule, whose walk is gradient descent at a falling rate",
        proof=Proof(1e-6, 10, 3000, {"lr": 0.05}),
        paper="Polyak, B. T., Juditsky, A. B. (1992), Acceleration of stochastic approximation by "
        "averaging, SIAM Journal on Control and Optimization 30, 838-855",
        memory="the average, a vector a start",
    ),
    _apart(
        "adafactor",
        "descent.rules:Adafactor",
        "Adafactor: squared gradients of a matrix by rows and columns alone; starts run one by one",
        proof=Proof(1e-4, 10, 10_000, {"lr": 0.1}),
        paper="Shazeer, N., Stern, M. (2018), Adafactor: adaptive learning rates with sublinear "
        "memory cost, ICML",
        memory="a row and a column for each matrix, a vector for all else, a start",
    ),
    _apart(
        "muon",
        "descent.muon:Muon",
        "Muon for a model's matrices, AdamW for all else: without matrices it is AdamW",
        proof=Proof(1e-6, 10, 6000, {"lr": 0.05, "adamw_weight_decay": 0.0}),
        paper="Jordan, K., Jin, Y., Boza, V., You, J., Cesista, F., Newhouse, L., Bernstein, J. "
        "(2024), Muon: an optimizer for hidden layers in neural networks, "
        "kellerjordan.github.io/posts/muon",
        memory="the momentum of matrices, two moments of all else, a start",
        requires="torch>=2.9",
    ),
    Method(
        "lbfgs",
        "descent.lbfgs:LBFGS",
        "torch's L-BFGS, by a line search or by steps of a given length",
        "torch",
        kind="local",
        gradients="optional",
        bounds="strict",
        start="used",
        batch="one point, then its stencil",
        proof=Proof(1e-8, 100, 2000, {"line_search_fn": "strong_wolfe"}),
        random=False,
        integers="refused",
        constraints="lagrangian",
        tolerance_options=("tolerance_grad", "tolerance_change"),
        paper="Liu, D. C., Nocedal, J. (1989), On the limited memory BFGS method for large scale "
        "optimization, Mathematical Programming 45, 503-528",
        memory="2 x history_size vectors",
        holds=("1 history_size",),
    ),
    _apart(
        "lars",
        "descent.extras:LARS",
        "LARS: momentum, with a rate for each matrix by its norm; starts run one by one",
        proof=Proof(1e-8, 10, 3000, {"lr": 0.05}),
        paper="You, Y., Gitman, I., Ginsburg, B. (2017), Large batch training of convolutional "
        "networks, arXiv:1708.03888",
        memory="the momentum, a vector a start",
        **_extra,
    ),
    _apart(
        "lamb",
        "descent.extras:Lamb",
        "LAMB: Adam, with a rate for each tensor by its norm; starts run one by one",
        proof=Proof(1e-4, 10, 6000, {"lr": 0.05, "schedule": "cosine"}),
        paper="You, Y. et al. (2020), Large batch optimization for deep learning: training BERT in "
        "76 minutes, ICLR",
        memory="two moments a start",
        **_extra,
    ),
    _rule(
        "ftrl",
        "descent.extras:FTRL",
        "FTRL-Proximal: each variable made anew from all its gradients, sparse by a penalty",
        proof=Proof(1e-6, 10, 5000, {"lr": 1.0}),
        paper="McMahan, H. B. et al. (2013), Ad click prediction: a view from the trenches, KDD",
        memory=_TWO,
        **_extra,
    ),
    _apart(
        "shampoo",
        "descent.extras:Shampoo",
        "Shampoo: gradients preconditioned along each side of a tensor; starts run one by one",
        proof=Proof(1e-6, 10, 5000, {"lr": 1.0}),
        paper="Gupta, V., Koren, T., Singer, Y. (2018), Shampoo: preconditioned stochastic tensor "
        "optimization, ICML",
        memory="two d x d matrices for each side d of each tensor; of a flat vector two n x n",
        matrices=2,
        **_extra,
    ),
    _apart(
        "torch",
        "descent.named:Named",
        "Any other optimizer of torch or pytorch-optimizer, by the option optimizer",
        proof=Proof(1e-6, 10, 6000, {"arguments": {"lr": 0.05}}),
        paper="of each: see its library",
        memory="that of the optimizer chosen",
    ),
]
