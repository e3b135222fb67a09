"""Settings: dataclasses with their rules, standard library only.

fields         what a setting is: default, rule and help in one place
sources        where samples come from
class_weight   the weights of classes, as command-line words
blocks         the building blocks of a network, as data
model          the settings of a network
outline        a stack of blocks, summarised as settings of `Model`
presets        networks of well-known tutorials, by name
run_config     the settings that all kinds of runs share
config         the settings of a command-line run
fit_config     the settings of a fit that is kept as a run
serving        how a model is served
"""
