"""Fetches a page from a host that the request allows, and is refused by any other."""

import sys
import urllib.error
import urllib.request

for url in sys.argv[1:]:
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:
            print(url, answer.status, len(answer.read()), "bytes")
    except urllib.error.HTTPError as error:
        print(url, "refused:", error.headers.get("X-AgentCore-Denied") or error)
    except urllib.error.URLError as error:
        # Of https the proxy's refusal is in the words: "Tunnel connection failed: 403 Denied: ...".
        print(url, "failed:", error.reason)
