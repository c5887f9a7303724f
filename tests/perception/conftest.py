from tests.support.bundles import bundle, cache_home, folder, rig

__all__ = ["bundle", "cache_home", "folder", "rig"]
