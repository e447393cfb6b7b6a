"""From when on something is a finding. Each was chosen on runs that the test set does not have."""

STEPS = 20
"""Steps or evaluations of which a trend can be told; tenths of fewer are single numbers."""
FEW = 8
"""Values of which anything can be told at all, where each cost a gradient by differences."""
GENERATIONS = 5
"""Generations of a population of which anything can be told."""

FALLING = 0.05
"""Still falling: the share of the progress since the first tenth that came in the last quarter. A
loss that decays exponentially, with a quarter of the run as its time constant, has just this; it
would gain another 2 % if it ran for ever. One that falls as 1/t has 0.04, as 1/sqrt(t) 0.07."""
SHRINKING = 0.1
"""Or: it fell by this much of what is left of it, in the last quarter."""
WORTH, DIGITS = 3e-3, 1e-6
"""And in either case by this much of the whole fall: training loss on its way to zero goes on by
factors for ever, and nobody waits for it. Six digits are enough of methods that end by themselves,
and had not yet."""
ANNEALED = 0.1
"""A learning rate that a schedule has brought below this share of its largest: the run ended as
planned, and what it gained at last it gained because of that."""
CERTAIN = 2.0
"""A fall is one where it is so many standard errors."""

SWING, BACK = 0.1, 0.5
"""Oscillating: in the second half the loss swings (9th to 1st decile) over this share of all that
it ever fell by, and goes up by at least this part of what it comes down by."""
LABOUR = 10.0
"""Or, of a function without noise: steps times slopes, over the second half, come to this many
times the whole fall, while nothing is gained: the run leaps over a valley to and fro."""

ROUNDING = 1e-8
"""Flat: values that differ by less than this, relative to their size. It is the square root of the
precision: slopes by differences see nothing below it."""
UNMOVED = 1e-3
"""Flat, with gradients: the loss fell by less than this share of its size ..."""
UNBENT = 0.5
"""... while the gradient kept at least this share of its length: it has not arrived anywhere."""
LITTLE = 0.1
"""Of layers that hear nothing: the loss fell by less than this share of its size."""
VANISHED = 1e-4
"""Vanishing: a gradient in the first layer this much smaller than in the last. Layers that are
initialized as Glorot and Bengio (2010) or He et al. (2015) say are within a factor of ten or so."""
DEAD = 0.9
"""Dead units: the share of a layer's gradient that is exactly zero. ReLU leaves half to live."""
UNEVEN = 1e6
"""Badly scaled: from the median slope to the largest, over the variables."""

BLOWN, FAR = 10.0, 100.0
"""Exploding: the loss went above its beginning by so many times its size and all that it fell; FAR
where it ended below its beginning all the same. What comes back from so far has lost its start."""
ENDLESS = 1e6
"""Without end: a value below zero so many times larger than at the start, and falling faster."""
SPREAD_OUT = 100.0
"""Or a population that has spread out by this factor, and falls faster."""

OVER = 0.1
"""Overfitting: the validation loss ended above its lowest by this share of it (Prechelt's
generalization loss; he stops training from 0.01 to 0.05 on)."""
VALIDATIONS = 5
"""Validations of which that can be told."""

AT_BOUND = 1e-6
"""At a bound: this near, in widths of the box."""
INWARD = 0.01
"""Pulled away from a bound: the slope there, as a share of the first gradient's largest."""

FAILED = 0.1
"""Many failures, or gradients skipped: this share of all. A few at the rim of a domain are common,
and cost a method little; a tenth costs a tenth of the budget and hides part of the function."""
HALVINGS = 10
"""Or so many gradients skipped in each run, where each of them halves the learning rate."""

SHRUNK = 1e-2
"""A population has contracted when its spread is this share of the largest it had. Some methods end
a run soon after."""
EARNED = 0.15
"""Contracted too fast: n times the logarithm of the contraction for each evaluation. Searches that
go by ranks come nearer to the optimum of a sphere by at most 0.2 or so in this unit (Rechenberg,
1973; Arnold, 2006, for recombination), and in practice at half that. Of the healthy runs on which
this was chosen none had more than 0.1 (one of mere noise 0.14), of those that stopped on a slope
none less than 0.24."""

NOISE = 1.0
"""Noise larger than progress: the level fell by less than this many standard deviations from one
value to the next, over the whole run."""
LASTING = 0.5
"""And that deviation is not dying away: in the last quarter at least this share of what it was in
the second."""

ALWAYS = 0.9
"""Clipping always active: the share of steps in the second half whose gradient was clipped."""

STRAIGHT = 0.3
"""Learning rate too low: the share of the fall that came in the second half; a straight line has
0.5, what bends towards its end less."""
SAME = 0.25
"""And the gradient's length has changed by less than this share."""
RISES = 0.1
"""And the loss rose in at most this share of the steps."""
