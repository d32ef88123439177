"""`config` and `profiles`: what is in force here, and what the server offers."""

from agentcore_client.cli.options import Common, takes_options
from agentcore_client.cli.output import print_fields, print_json, print_table, tell
from agentcore_client.config import config_path


@takes_options
def config(options: Common) -> None:
    """Show which server and key are in force and where each comes from; asks no server.

    \b
    In this order the first wins:
      --url, --key-file
      AGENTCORE_URL, AGENTCORE_API_KEY
      the configuration file (chmod 600), with lines such as
        url = "https://agentcore.example.com"
        key_file = "key"      # or key = "ac_…"
      http://127.0.0.1:8002
    """
    found = options.config()
    path = config_path()
    told = {
        "url": found.url,
        "url_from": found.url_from,
        "key": found.masked_key,
        "key_from": found.key_from,
        "config_file": str(path),
        "config_file_exists": path.exists(),
    }
    if options.json:
        print_json(told)
    else:
        print_fields((name.replace("_", " "), value) for name, value in told.items())
    if found.key is not None and not found.is_encrypted_or_local:
        tell("the key travels unencrypted to another machine; use an https URL")


@takes_options
def profiles(options: Common) -> None:
    """List the server's security profiles and whether each is enabled."""
    with options.connect() as client:
        found = client.profile_list()
    if options.json:
        print_json(found.raw)
        return
    rows = (
        (
            item.profile_name,
            "yes" if item.enabled else "no",
            item.network_default,
            item.seccomp_profile,
            item.apparmor_profile,
            " ".join(item.allowed_capabilities) or "none",
            item.description,
        )
        for item in found.items
    )
    headings = ("PROFILE", "ENABLED", "NETWORK", "SECCOMP", "APPARMOR", "CAPABILITIES", "FOR")
    print_table(headings, rows)
