"""The command line.

flags          flags made from the settings
settings_file  settings from a file
advice         warnings of settings that do not work well together, and of runs that learned nothing
terminal       what is written to stdout and stderr
machines       training on several machines
commands       what each command does
entry          the parser, and `main`
"""
