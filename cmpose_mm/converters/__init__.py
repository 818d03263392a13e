"""Other data sets to PoseTrack's form, videos to frames, repeated frames out, lists of clips.

Nothing here needs a framework. Needed are OpenCV, SciPy for .mat files, and PyAV for videos.
"""
