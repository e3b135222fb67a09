"""The machine below: what the rest of the package asks of files, memory and signals.

durable       file operations that no crash leaves half done
bundle        the files of TensorFlow's checkpoints, checked before TensorFlow reads them
memory        how much memory is left
interrupts    signals, held back until what runs is saved
muted         no notes of libraries on standard error
"""
