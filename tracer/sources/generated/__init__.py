"""Inputs made of what a model says about itself: signature, documentation, configuration.

`documented` reads the signature and the documentation, `extents` turns the names of axes into
numbers, `values` makes a tensor of a documented parameter, `repairs` changes inputs as the model's
own error asks, and `trials` runs the model until it takes what it gets.
"""
