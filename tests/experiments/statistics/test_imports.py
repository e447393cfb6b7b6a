import subprocess
import sys

HEAVY = ("matplotlib", "torch", "pandas", "scipy.stats", "cma", "ioh", "gymnasium")


def test_statistics_load_no_pictures_and_no_torch():
    code = "import sys, experiments.statistics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
