"""What `experiments tune` adds to `adapters.tune`: users' files, progress, a folder, a page."""
