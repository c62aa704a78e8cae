"""Recipes of features, the weights behind them, and the contract with the engine that computes them."""
