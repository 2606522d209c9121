"""The classic pictures of GANs, made with the library's own objectives and steps; for those who are new to them."""
