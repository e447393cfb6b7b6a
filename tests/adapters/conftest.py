import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small operations on a busy machine: several threads would wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)
