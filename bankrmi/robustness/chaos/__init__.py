"""Real processes under real faults, with a verdict and a report.

Its files:
    recorded           the values that a finished run consists of
    report             the report of a run, one HTML file; its style is report.css, its script report.js
    report_headline    its verdict, and the figures one asks for first
    report_timeline    roles and faults as lanes over time
    report_plots       operations per second and latency over time
    report_failovers   how long failovers took, every one a dot
    report_tables      the slowest calls, the faults, what was looked at
    report_figures     all of that in figures; pure
    report_words       figures and faults in words
    report_markup      HTML out of plain values, escaped
"""
