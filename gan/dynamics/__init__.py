"""The game as a dynamical system: its vector field, the spectrum of its Jacobian, and how much of it is rotation."""
