"""What the commands do: run, show progress, print, write; each returns its exit code."""
