"""The thresholds of comparing values.

A distance is the norm of the difference of two values over the norm of the first: 0 for equal
values, about 1 for values that have nothing to do with each other.
"""

SAME_VALUE_DISTANCE = 0.5
"""Distance (0 or more) below which values of one size may be paired as the same value.

A quantised value stays far below it; a value of another layer is far above it.
"""

OTHER_VALUE_RATIO = 4.0
"""How many times as far as another array, or as in another order of its axes, an array must be from
a value, so that the value is not this array, or has this order: rounding changes less."""

AGREEMENT_DISTANCE = 0.1
"""Distance (0 or more) below which two values agree.

Where everything that is computed from a pair agrees, but the pair itself is further apart than
`SAME_VALUE_DISTANCE`, the pair is wrong: an error does not shrink that much.
"""

SKETCH_SIZE = 64
"""Number of elements of a value that are kept to estimate distances: this, up to twice as many."""

MEMORY_BUDGET = 1 << 29
"""Bytes of the values of one file that may be held in memory at a time."""

MOST_VALUES_AT_ONCE = 256
"""Maximum number of values that are fetched in one run."""

FIRST_VALUES_AT_ONCE = 8
"""Number of values that are fetched first, while their sizes are unknown."""

SKETCH_SLACK = 20.0
"""Maximum distance of the sketches of two equal values, as a multiple of the tolerance. A sketch
has only some of the elements, so its distance may be larger."""

LEAST_SKETCH_SLACK = 1e-3
"""Distance (0 or more) up to which the sketches or norms of two values are near in any case."""

MOST_NEAR_VALUES = 3
"""Maximum number of values with near sketches that are compared with an array in full."""

MOST_PERMUTED_AXES = 5
"""Maximum number of axes of an array whose orders are tried; there are 120 orders of 5."""

LEAST_GAIN_DB = 0.1
"""Gain in decibels from which a module is suggested to be left out of quantisation."""

MOST_SUGGESTED_MODULES = 10
"""Maximum number of modules that are suggested to be left out of quantisation."""

MOST_MEASURED_MODULES = 256
"""Maximum number of modules that are left out in turn, to measure what that gains."""

WEIGHT_SLACK = 1e-5
"""Difference (0 or more), over the largest element of a weight, up to which weights are equal:
far below any change that matters, above what converters round towards zero or away from it."""

UNRELATED_DISTANCE = 0.9
"""Distance (0 or more) of two weights from which they are not taken for one where only their
numbers say so: those that have nothing to do with each other are about 1 apart, or more."""

MOST_CHANGED_MODULES = 0.5
"""Maximum share (0 to 1) of modules with weights beyond rounding, up to which these are changed;
one module always does."""
