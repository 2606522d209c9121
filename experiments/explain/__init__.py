"""The classic pictures of GANs for beginners, made with the objectives and steps of `gan`."""
