"""A policy that runs elsewhere, behind openpi's websocket protocol, in the sampler's place.

Names are imported from their modules: `description` and `provenance` need nothing more than a rig file does, the
others need what the extra `remote` installs.
"""
