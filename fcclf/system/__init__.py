"""The machine below: what the rest of the package asks of its files and of its memory.

durable       file operations that no crash leaves half done
bundle        the files of TensorFlow's checkpoints, checked before TensorFlow reads them
memory        how much memory is left
"""
