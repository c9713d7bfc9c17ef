"""Stills in motion by formulas alone: clips to train on, with flow and masks, and films. No network is asked."""
