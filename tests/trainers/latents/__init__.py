"""Autoencoders, the latent cache, text encoders."""
