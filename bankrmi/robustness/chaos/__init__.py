"""Real processes under real faults, with a verdict and a report.

recorded        the values that a finished run consists of
"""
