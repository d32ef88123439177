"""An agent whose plan names a tool that it does not have: it ends with a traceback."""

TOOLS = {"search": lambda query: [f"result for {query}"]}
PLAN = [("search", "opening hours"), ("book_table", "two persons, 19:30")]


def run_step(tool: str, argument: str) -> object:
    print(f"step: {tool}({argument!r})")
    return TOOLS[tool](argument)


for tool, argument in PLAN:
    print("  ->", run_step(tool, argument))
