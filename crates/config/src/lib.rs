//! pointsman.yaml: reading, locating, validating.
