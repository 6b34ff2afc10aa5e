"""Small networks trained on a scene while somebody watches.

options: how they are trained. pairs: what they are trained on. networks: what they are. learner: the loop, its snapshots and rounds of reflow. grids: a velocity on a grid.
report: loss against its floor, field error, shares of the error. run: all of it from the command line.
"""
