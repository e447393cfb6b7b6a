"""Gradient methods by torch: the rules of `torch.optim`, and the habits of training around them."""
