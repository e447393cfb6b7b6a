from experiments import halving_speed as measuring


def searches(*given):
    return [measuring.Search(way, seed, value, epochs, 0.1) for way, seed, value, epochs in given]


def test_shares_are_of_the_yardstick_from_the_same_seed():
    found = [
        searches((measuring.FULL, 0, 2.0, 100), ("other", 0, 1.0, 25)),
        searches((measuring.FULL, 1, 4.0, 100), ("other", 1, 6.0, 25)),
        searches((measuring.FULL, 2, 4.0, 100), ("other", 2, 4.0, 25)),
    ]
    whole, other = measuring.standings(found)
    assert (whole.loss_share, whole.epoch_share) == (1.0, 1.0)
    assert (other.loss_share, other.epoch_share, other.no_worse) == (1.0, 0.25, 2)
    assert other.reached
    assert not whole.reached


def test_the_folder_holds_table_and_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "CANDIDATES", 8)
    monkeypatch.setattr(measuring, "EPOCHS", 3)
    found = list(measuring.measure_all(measuring.steps(quick=True)[:1]))
    whole = measuring.standings(found)[0]
    assert whole.epochs == 24
    measuring.save(found, tmp_path, measuring.summary(found, "command"))
    assert "successive halving" in (tmp_path / "halving.md").read_text()
    assert "loss_share" in (tmp_path / "halving.json").read_text()
