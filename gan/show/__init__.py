"""Pictures of samples and games, plots, and the page of a run."""
