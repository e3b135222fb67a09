"""The operating system: what the rest of the package needs of files, memory and signals.

durable       file operations that no crash leaves half done
bundle        the files of TensorFlow's checkpoints, checked before TensorFlow reads them
memory        how much memory is left
interrupts    signals, held back until what runs is saved
muted         keeps messages of libraries off standard error
"""
