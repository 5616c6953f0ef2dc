"""Trains, measures and exports the models that ship with the gateway."""
