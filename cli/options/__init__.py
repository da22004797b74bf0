"""The options that commands share: each has one name, one help text and one default.

`common` has single options; `tracing`, `matching` and `hierarchy` have groups of options that
belong together. `groups` lets a command take a group as one parameter.
"""
