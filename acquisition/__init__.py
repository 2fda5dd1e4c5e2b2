"""Everything that runs a measurement: microscope file, recipes, engine, safety, storage."""
