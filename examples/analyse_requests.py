"""Reads requests.csv, finds the slow minutes of each route, writes a report and a result.

Files given with the execution are in the working folder; what is written to output/ comes back
as artifacts, and output/result.json as the execution's result.
"""

import csv
import json
import statistics
from collections import defaultdict

samples = defaultdict(list)
failures = defaultdict(int)
with open("requests.csv", newline="") as file:
    for row in csv.DictReader(file):
        samples[row["route"]].append((int(row["minute"]), int(row["milliseconds"])))
        failures[row["route"]] += row["status"] != "200"

result = {}
lines = ["# Latency by route", "", "| route | median ms | p95 ms | failures | slow minutes |"]
lines.append("|---|---:|---:|---:|---|")
for route, points in sorted(samples.items()):
    values = [milliseconds for _, milliseconds in points]
    median = statistics.median(values)
    p95 = statistics.quantiles(values, n=20)[-1]
    slow = sorted({minute for minute, milliseconds in points if milliseconds > 2.5 * median})
    result[route] = {"median_ms": median, "p95_ms": round(p95, 1), "slow_minutes": slow}
    shown = f"{slow[0]}-{slow[-1]}" if slow else "none"
    lines.append(f"| {route} | {median:g} | {p95:.0f} | {failures[route]} | {shown} |")

report = "\n".join(lines) + "\n"
print(report)
worst = max(result, key=lambda route: len(result[route]["slow_minutes"]))
print(f"Look at {worst} first.")
with open("output/report.md", "w") as file:
    file.write(report)
with open("output/result.json", "w") as file:
    json.dump({"worst": worst, "routes": result}, file)
