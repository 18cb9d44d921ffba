"""The commands as Python functions: `vl.train`, `vl.sweep`, `vl.evaluate`, `vl.compose`; and what they share with `cli/`."""
