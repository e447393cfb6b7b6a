"""What `experiments tune` adds to `adapters.tune`: users' files, live progress, a folder, a page."""
