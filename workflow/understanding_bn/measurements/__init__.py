"""Measurements: one file each, with its options, their check against the rest of the config, and its function.

A file is read on every start of the workflow, so it imports torch and pandas inside its function only. To add a
measurement, write a file with a subclass of `settings.Initial` or `settings.Trained` and a function
`measure(context, norm, seed, options) -> DataFrame`, and name it in the config. COLUMNS are the columns of its table
with their dtypes, which a table without rows has, too: networks that have diverged are not measured. What the function
computes with stands in `analysis`, where other measurements find it too. Set DTYPE where a network is not computed in
float32.

Batch norm is in train mode unless a column `bn_mode` says otherwise. A measurement sees no difference between a
network at initialisation and a trained one: its context hands it the network.
"""
