"""What people look at: pictures of samples and games, plots, the page of a run."""
