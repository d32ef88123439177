"""What an interpreter runs at its own start to await a program: the folder's sitecustomize.

The supervisor executes `python3 main.py` ahead of the job, with this folder as PYTHONPATH. Start-up
ends here; what follows is the interpreter's own way to run main.py, with nothing of ours in it.
"""
