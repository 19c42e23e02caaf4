"""What is to be done: the config as typed models, and the jobs that follow from it. Imports no torch."""
