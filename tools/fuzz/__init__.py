"""Feeds every parser of ours with what nobody would send in earnest. `make fuzz` runs it.

Each target takes inputs that are nearly right, made by hypothesis: valid ones, and valid ones with bytes changed, lost
and put in. It passes when nothing is raised but the parser's own errors, nothing takes long, and nothing that is told
shows the inside of the program.
"""
