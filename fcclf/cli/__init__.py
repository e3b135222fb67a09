"""The command line.

flags          flags made from the settings
settings_file  settings from a file
advice         what is known not to work well together
terminal       what is written to stdout and stderr
machines       training on several machines
commands       what each command does
entry          the parser, and `main`
"""
