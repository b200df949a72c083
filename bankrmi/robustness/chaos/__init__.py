"""Real processes under real faults, with a verdict and a report.

Its files:
    recorded        the values that a finished run consists of
"""
