"""Everything a person touches: windows, command line, demo, report."""
