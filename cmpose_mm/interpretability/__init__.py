"""Measures whether causal tokens are where the body is, and whether predictions depend on them."""
