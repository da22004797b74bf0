"""All thresholds of matching, in one place.

Each constant states its unit or range, why it has its value, and the test that fails when it
moves. "The table" is the agreement table (docs/agreement.md), made by `make agreement`:
50 models by 71 transformations, every verdict judged by an eager run of the model.
"""

from modelexport.hierarchy.sketches import INFINITY_THRESHOLD

# Value evidence: order statistics of what the file computes.

MINIMUM_STATISTICS = 12
"""Order statistics (1-16) that a value must have to be distinctive.

A smaller tensor (a scalar, a shape) occurs anywhere, and says nothing about where it is from.

Test: `evidence/test_value_classes.py`, `test_a_value_of_few_elements_is_not_distinctive`.
"""

MINIMUM_DISTINCT = 4
"""Different order statistics (1-16) that a value must have to be distinctive.

Masks and one-hot values hold two or three numbers and occur in every layer.

Test: `evidence/test_value_classes.py`, `test_a_value_of_few_different_numbers_is_not_distinctive`.
"""

UNAMBIGUOUS_DISTINCT = 8
"""Different order statistics (1-16) from which a real value is matched without its neighbours.

Positions, counts and clipped values have fewer; two nodes may compute the same ones.

Test: `evidence/test_value_classes.py`, `test_a_value_of_few_different_numbers_is_not_distinctive`.
"""

DISTINCT_STEP = 1e-4
"""Smallest difference of two different order statistics, over the greatest magnitude.

Smaller steps are what rounding makes of equal numbers.

Test: `evidence/test_value_classes.py`, `test_steps_that_rounding_makes_do_not_count`.
"""

PASS_THROUGH_DISTANCE = 5e-3
"""Largest distance of a node's result from its input, over the greatest magnitude, at which the
node only passes its input on.

Rounding to 16 or 8 bits moves numbers by up to that. Judged within the file: judged by the
record, the residual stream of scaled layers would count as passed on.

Test: `evidence/test_values.py`, `test_a_node_that_only_rounds_its_input_has_no_candidates`.
"""

EXACT_TOLERANCE = 3e-4
"""Largest difference of two order statistics of one value, over the greatest magnitude, in a
file that computes in full precision.

Optimisers and other exporters reorder sums; all of the table's files stay below it. With other
weights of the same model, no tensor of a prototype's 306 was within it.

Test: `evidence/test_comparison_modes.py`,
`test_numbers_are_compared_as_exactly_as_they_were_computed`.
"""

HALF_TOLERANCE = 2e-2
"""The same in a file that computes in half precision (16 bits).

Test: `evidence/test_comparison_modes.py`,
`test_numbers_are_compared_as_exactly_as_they_were_computed`.
"""

EXACT_INFINITY = INFINITY_THRESHOLD
"""Magnitude from which numbers count as infinite in full precision: that of the record.

Test: `evidence/test_comparison_modes.py`,
`test_numbers_are_compared_as_exactly_as_they_were_computed`.
"""

HALF_INFINITY = 6e4
"""The same in half precision, whose greatest number is 65,504. Masks become infinite there.

Test: `evidence/test_comparison_modes.py`,
`test_numbers_are_compared_as_exactly_as_they_were_computed`.
"""

MINIMUM_EXACT_SHARE = 0.5
"""Minimum share (0-1) of matched values from which a mismatch rejects a pair, in full precision.

It is enough when either this share of the file's distinctive values is recorded, or this share
of the recorded ones is in the file. Files whose functions were expanded compute all that was
recorded and much more.

Test: `evidence/test_comparison_modes.py`, `test_in_full_precision_half_of_either_side_is_enough`.
"""

MINIMUM_HALF_SHARE = 0.9
"""The same for half precision, of the file's values.

At the tolerance of half precision a small quantised file reaches half of them by chance.

Test: `evidence/test_comparison_modes.py`, `test_in_half_precision_both_shares_are_needed`.
"""

MINIMUM_HALF_RECALL = 0.5
"""Minimum share (0-1) of recorded values that a file in half precision computes.

Real files in half precision reach 65 % and more. A file of quantised operators shows a few real
numbers, all near recorded ones, and reaches 1 to 24 %.

Test: `evidence/test_comparison_modes.py`, `test_in_half_precision_both_shares_are_needed`.
"""

# Value evidence in quantised files: sketches.

NEAR_SKETCH = 0.35
"""Largest distance of two sketches, over the longer one, at which a quantised value may be a
recorded one.

Test: `evidence/test_quantised_values.py`, `test_a_candidate_is_near`.
"""

FAR_SKETCH = 0.8
"""Distance of two sketches, over the longer one, from which a quantised value is not the recorded
one, unless order statistics say otherwise.

Test: `evidence/test_quantised_values.py`, `test_values_that_are_far_apart_speak_against_a_pair`.
"""

NEAREST_FACTOR = 1.5
"""Sketches whose distance is within this factor of the nearest one's are candidates as well.

Test: `evidence/test_quantised_values.py`, `test_candidates_are_about_as_near_as_the_nearest`.
"""

SKETCH_NOISE = 0.02
"""What is added to that limit, as distance: two distances below it do not differ.

Test: `evidence/test_quantised_values.py`, `test_candidates_are_about_as_near_as_the_nearest`.
"""

SORTED_NEAR = 0.15
"""Largest difference of order statistics, over the greatest magnitude, at which a quantised value
in another layout may be a recorded one.

Test: `evidence/test_quantised_values.py`, `test_order_statistics_speak_for_another_layout`.
"""

MINIMUM_SKETCHED_ELEMENTS = 12
"""Elements that a quantised value must have for its sketch to say anything.

Test: `evidence/test_quantised_values.py`, `test_a_small_value_has_no_candidates`.
"""

MINIMUM_STEPS = 8
"""Different order statistics (1-16) that a whole-number value must have to count as real numbers
stored in 8 bits. Indices, masks and counts have fewer.

Test: `evidence/test_quantised_values.py`, `test_whole_numbers_within_eight_bits_may_be_real_ones`.
"""

EIGHT_BITS = (-128, 255)
"""Least and greatest number that is stored in 8 bits, signed or not.

Test: `evidence/test_quantised_values.py`, `test_whole_numbers_within_eight_bits_may_be_real_ones`.
"""

CALIBRATION_MEDIAN = 0.5
"""Largest median distance of the sketches of settled pairs, over the longer one, at which the
values of a quantised file say anything.

Test: `evidence/test_quantised_values.py`,
`test_values_are_used_if_those_of_half_of_the_pairs_are_near`.
"""

CALIBRATION_NINETIETH = 0.4
"""Largest distance that nine of ten settled pairs keep, over the longer sketch, where values that
are farther apart reject a pair.

Test: `evidence/test_quantised_values.py`, `test_a_mismatch_rejects_if_nine_of_ten_pairs_are_near`.
"""

# Weight evidence.

MINIMUM_WEIGHT_ELEMENTS = 8
"""Elements that a weight must have to be matched by its numbers.

A smaller one (a scalar, a shape) occurs anywhere.

Test: `evidence/test_weights.py`, `test_a_small_weight_is_not_found_by_its_numbers`.
"""

EXACT_WEIGHT = 1e-5
"""Largest difference of extremes and mean powers, over their scale, of weights that hold the same
numbers in full precision. Sums in single precision differ by less.

Test: `evidence/test_weights.py`, `test_numbers_agree_to_a_hundred_thousandth`.
"""

SAMPLED_WEIGHTS = 16
"""Weights that are compared to find out whether a model was trained further. More say the same.

Test: `evidence/test_weights.py`, `test_a_sample_of_named_weights_is_compared`.
"""

RETRAINED_SHARE = 0.5
"""Share (0-1) of compared weights above which differing weights mean another training.

Test: `evidence/test_weights.py`, `test_a_model_is_retrained_if_most_of_its_weights_differ`.
"""

SAME_DIRECTION = 0.97
"""Least cosine of the sketches of one weight, in however few bits.

Rounding to 4 bits stays above it; in the table no two different weights came near it.

Test: `evidence/test_weight_sketches.py`, `test_a_direction_that_is_nearly_the_same_is_the_weight`.
"""

ROUNDED_DIRECTION = 0.9
"""Least cosine of the sketches of one weight that is stored in whole numbers, where no other weight
of the file is the recorded one.

One scale for a whole matrix with a few large numbers turns the sketch: a trained matrix of 8 bits
had 0.948, and 0.49 with the nearest other one of its size.

Test: `evidence/test_weight_contents.py`, `test_what_is_left_over_may_be_turned_further`.
"""

SAME_SKETCH = 1e-5
"""Largest difference of two sketches, over the greatest number in them, of a weight that was not
rounded at all.

Test: `evidence/test_weight_sketches.py`, `test_a_weight_of_nearly_the_same_sketch_is_exact`.
"""

SAME_DIRECTION_MARGIN = 0.005
"""Cosines this far below the best one's are as good as the best.

Test: `evidence/test_weight_sketches.py`, `test_nearly_as_good_directions_are_candidates_as_well`.
"""

SAME_SUMS = 1e-4
"""Relative difference of power sums of the same numbers in another order.

Test: `evidence/test_weight_sketches.py`, `test_weights_of_equal_sums_hold_the_same_numbers`.
"""

PLAIN_DIRECTION = 1e-5
"""Length of a sketch without its zero point, over its whole length, up to which nothing is left:
all numbers are equal, so the weight has no direction.

Test: `evidence/test_weight_sketches.py`, `test_plain_means_a_hundred_thousandth_of_the_sketch`.
"""

MOST_SPLIT_PARTS = 4
"""Parts of one weight that are tried in every order. A query, a key, a value and one more.

Test: `evidence/test_merged_weights.py`, `test_at_most_four_parts_are_put_together`.
"""

MOST_PART_SIZES = 16
"""Different sizes of recorded weights that are tried at the edge of a merged one.

Test: `evidence/test_merged_weights.py`, `test_so_many_sizes_are_tried_at_an_edge`.
"""

# Whether a file is of the recorded model.

MINIMUM_VALUE_SHARE = 0.2
"""Minimum share (0-1) of the file's distinctive values that must be recorded for the record to be
of this model. No file of another model in the table reaches it.

Test: `test_recognizer.py`, `test_a_fifth_of_recorded_values_is_the_same_model`.
"""

FITTING_FEED_SHARE = 0.5
"""Share (0-1) of matched values above which one way to feed the inputs is the right one.

In a quantised file shares are noise, so the recorded order stays.

Test: `test_observed_values.py`, `test_the_recorded_order_stays_where_no_way_fits`.
"""

MINIMUM_WEIGHT_SHARE = 0.5
"""Minimum share (0-1) of the elements of distinctive weights that must be recorded for the record
to be of this model. No file of another model in the table reaches it.

Test: `test_recognizer.py`, `test_half_of_recorded_weights_is_the_same_model`.
"""

SIBLING_WEIGHT_SHARE = 0.9
"""Minimum share (0-1) of the elements of weights whose direction is recorded, from which a model
with other weights is the recorded one trained further, whatever its nodes are called.

Test: `test_recognizer.py`, `test_a_retrained_model_needs_weights_of_recorded_direction_or_names`.
"""

MOST_IDLE_SHARE = 0.5
"""Maximum share (0-1) of a file's known matrices that modules without a recorded op may own.

Above it the file is another part of the model than the one that was recorded: an encoder beside
the record of a decoder. One matrix in two says that half of the file did not run.
"""

MINIMUM_NAME_SHARE = 0.25
"""Minimum share (0-1) of a file's nodes that must pair by name where nothing else speaks.

Test: `test_model_identity.py`, `test_a_quarter_of_the_names_must_pair`.
"""

NEARLY_ALL_NAMES = 0.9
"""Minimum share (0-1) of nodes, of the file and of the record, that must pair by name where the
weights are others. A model of another depth pairs fewer.

Test: `test_model_identity.py`, `test_where_weights_are_others_nearly_all_names_pair_both_ways`.
"""

FEWEST_NAMES = 8
"""Nodes that must pair by name where a part without any matrix was cut out of the model.

Test: `test_model_identity.py`, `test_a_part_without_matrices_is_known_by_its_names`.
"""

SIZE_SURPLUS = 0.25
"""Share (0-1) of matrices missing or surplus above which a file is of another size of the model.

Test: `test_model_identity.py`, `test_more_than_a_quarter_of_surplus_matrices_is_another_size`.
"""

SIZE_CONFLICTS = 0.1
"""Share (0-1) of equally named weights of other sizes above which a file is of another size.

Test: `test_model_identity.py`, `test_more_than_a_tenth_of_conflicting_weights_is_another_size`.
"""

REPLACED_SHARE = 0.5
"""Minimum share (0-1) of the elements of missing matrices that matrices of new shapes must hold
to have replaced them (weights that were merged or split).

Test: `test_model_identity.py`, `test_matrices_of_new_shapes_replace_missing_ones`.
"""

# Alignment: scores of a pair of a node and a recorded op.

STRONG_SCORE = 1.25
"""Score above which a pair is added at once.

One neighbour counts 1, so that one neighbour alone is no strong score; such pairs wait until all
that follows from stronger ones is found.

Test: `alignment/test_aligner.py`, `test_strong_pairs_come_before_weak_ones`.
"""

COMMON_WEIGHT_SCORE = 2
"""What a weight in common adds to a score, where a neighbour counts 1; a weight that is not in
common is subtracted. Modules are repeated, their weights are not.

Test: `alignment/test_scorer.py`, `test_a_weight_in_common_counts_two_and_another_one_minus_two`.
"""

NEAR_VALUE_SCORE = 0.5
"""What a near result adds to a positive score in a quantised file.

It is less than a neighbour counts, so that it only decides between ops with equal neighbours.

Test: `alignment/test_scorer.py`, `test_a_near_result_counts_a_half_beside_other_votes`.
"""

SPAN_OP_DISCOUNT = 0.05
"""What each further op of a span takes from the 1 that a neighbour counts before it.

A longer span fits by chance more easily.

Test: `alignment/test_scorer.py`, `test_a_neighbour_before_a_longer_span_counts_less`.
"""

MINIMUM_SPAN_SCORE = 0.5
"""What a neighbour before a span counts at least, however long the span is.

Test: `alignment/test_scorer.py`, `test_a_neighbour_before_a_longer_span_counts_less`.
"""

SPAN_MISMATCH_SCORE = -1.0
"""What a neighbour counts whose op does not stand before the span of a pair.

Test: `alignment/test_scorer.py`, `test_a_neighbour_elsewhere_in_the_record_counts_minus_one`.
"""

OPEN_SPAN_SCORE = -0.5
"""What such a neighbour counts where the span is not closed, so that more may belong to it.

Test: `alignment/test_scorer.py`, `test_a_neighbour_before_an_open_span_counts_minus_a_half`.
"""

COMPLETION_FACTOR = 2
"""How many times nearer to a quantised op's result a node must be than the step before it.

A quantised op is done in steps (multiply, rescale, add a bias), and the last one completes it.

Test: `alignment/test_scorer.py`, `test_a_step_completes_an_op_when_it_is_twice_as_near`.
"""

# Alignment: limits of its searches.

MOST_SPAN_OPS = 64
"""Recorded ops whose work one node may do. A walk that goes on beyond them has lost its way.

Test: `alignment/test_spans.py`, `test_a_node_does_no_more_than_64_ops`.
"""

MOST_CALL_SEARCH_STEPS = 20_000
"""Nodes that are visited to order the calls of modules, for all weights of a file together.

The path from one call to the next is short; without a limit, a weight that everything reads takes
time that is quadratic in the graph.

Test: `alignment/test_call_order.py`, `test_the_search_visits_20000_nodes_at_most`.
"""

MOST_NEIGHBOURHOOD_NODES = 48
"""Nodes that are visited on each side of an open node to find its paired neighbours.

Test: `alignment/test_enclosure.py`, `test_paired_neighbours_are_looked_for_among_48_nodes`.
"""

MOST_REGION_OPS = 96
"""Recorded ops between the paired neighbours of a node, above which they say nothing about it.

Test: `alignment/test_regions.py`, `test_a_region_of_more_than_96_ops_says_nothing`.
"""

MOST_ALTERNATIVES = 17
"""Ops with equal scores that are claimed for an ambiguous node; more say nothing new about it.

Test: `test_node_claims.py`, `test_an_ambiguous_node_has_the_modules_of_17_candidates_at_most`.
"""

# Names of nodes, where a file carries nothing else.

MINIMUM_CONNECTED_SHARE = 0.5
"""Share (0-1) of the nodes with a common scope from which names nest: they have a neighbour in it.

Nodes of a module feed each other. Nodes that are numbered by operator, or at random, seldom do.

Test: `evidence/test_nested_names.py`, `test_half_of_the_nodes_have_a_neighbour_in_their_scope`.
"""

# What a report shows.

MOST_CANDIDATES = 6
"""Most candidates that the report shows for a node.

Test: `test_match_results.py`, `test_only_the_best_weighed_ops_are_listed`.
"""
