"""GANs in JAX and Flax: objectives, training and comparisons that can be believed."""
