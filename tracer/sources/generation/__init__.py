"""What a model that generates is called with: its encoder, its first run, and its later steps.

`captured_calls` runs the model's own generation and keeps what is called, `step_inputs` makes the
inputs of one step of these calls, and `model_parts` the parts that are deployed.
"""
