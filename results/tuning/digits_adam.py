"""Adam's settings for a small network on handwritten digits: in one program, and one by one.

    experiments tune results/tuning/digits_adam.py:together --method cma --budget 96
    experiments tune results/tuning/digits_adam.py:alone --method cma --budget 96

`together` trains a whole generation at once; `alone` is the loop that people write. Both have the
same network, data and number of epochs.
"""

import torch
from torch import nn

from adapters import Float, Log, Space, TrainingObjective
from experiments.problems import digits

EPOCHS, BATCH = 20, 64

space = Space(
    lr=Log(1e-5, 1e-2),
    beta1=Float(0.5, 0.99),
    beta2=Float(0.9, 0.9999),
    weight_decay=Log(1e-6, 1e-1),
)

images, labels = digits.load()  # in their order: each part is by other writers
train_on, judge_by = slice(0, 898), slice(898, 1347)


def make_model():
    """Return an untrained network of 2,410 weights."""
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


together = TrainingObjective(
    make_model,
    nn.CrossEntropyLoss(),
    (images[train_on], labels[train_on]),
    space,
    epochs=EPOCHS,
    batch_size=BATCH,
    validation=(images[judge_by], labels[judge_by]),
    optimizer="adamw",
)


def alone(lr, beta1, beta2, weight_decay):
    """Train one network; tell the validation loss after each epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make_model()
    order = torch.Generator().manual_seed(0)
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr, betas=(beta1, beta2), weight_decay=weight_decay
    )
    x, y = images[train_on], labels[train_on]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            yield loss(model(images[judge_by]), labels[judge_by]).item()
