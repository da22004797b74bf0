"""Files of fewer bits: the error of each module by itself, and what leaving modules out gains."""
