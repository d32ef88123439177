"""Computes the expression on its standard input: the program of a batch.

    agentcore batch --inputs examples/data/expressions.txt examples/batch.py

It runs once for each line. A run that fails, or never ends, does not hold up the others.
"""

import json
import sys

expression = sys.stdin.read()
# The sandbox is the boundary: whoever writes the lines may write what they like.
value = eval(expression)
print(f"{expression} = {value}")
with open("output/result.json", "w") as file:
    json.dump({"value": value}, file)
