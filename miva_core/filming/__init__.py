"""A still picture in motion by formulas alone: no network is asked, and nothing is learned."""
