"""What is asked for: dataclasses with their rules, standard library only.

fields         what a setting is: default, rule and help in one place
sources        where samples come from
class_weight   the weights of classes
blocks         the building blocks of a network, as data
model          which network
outline        a stack of blocks in the words of the settings of a model
presets        networks of well-known tutorials, by name
run_config     what all kinds of runs have in common in their settings
config         the settings of a run of the command line
fit_config     the settings of a fit that is kept as a run
serving        how a model is served
"""
