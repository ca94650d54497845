"""The network: an encoder, a head over the label hierarchy, and its losses."""
