"""A pytest plugin: scipy's own tests meet our `minimize` in place of scipy's.

`pytest -p tests.drop_in.plugin --pyargs scipy.optimize.tests.test_optimize`. It must be imported
before scipy's tests. The algorithms keep scipy's own `minimize` from their import.
"""

import scipy.optimize

import blackbox
from blackbox.algorithms import ALGORITHMS

for row in ALGORITHMS.values():
    if row.library == "scipy":
        row.load()

scipy.optimize.minimize = blackbox.minimize
