"""The game as a dynamical system: its vector field, the spectrum of its Jacobian, what rotates and what descends."""
