"""The demo: three services behind Envoys with the filter, a load, its traces and its account."""
