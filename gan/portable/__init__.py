"""Generators that leave this code: a program that JAX alone can run, weights in a plain file, and a model card."""


class PortableError(ValueError):
  """A generator that cannot be exported or converted; the message says why and what to do."""
