"""`python -m agentcore_client` is the command `agentcore`."""

from agentcore_client.cli import main

if __name__ == "__main__":
    main()
