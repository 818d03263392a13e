"""Property tests run on busy machines: no example is failed for being slow."""

from hypothesis import settings

settings.register_profile('no_deadline', deadline=None)
settings.load_profile('no_deadline')
