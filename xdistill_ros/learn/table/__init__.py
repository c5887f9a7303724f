"""The recipe of the bundles that ship for the simulated table, with its privileged teacher."""
