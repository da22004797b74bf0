"""Models that are deployed as several files: tracing them, and commands on their folders.

`trace_parts` makes a folder of parts; `part_folder` opens one, and `each_part` does with each of
its files what a command does with one.
"""
