"""How well `adapters.tune` searches: six tasks of scikit-learn's data, method by method."""
