"""What an API key may do is data on the key"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LISTS = ("profiles", "images", "networks")
EVERYTHING = '["submit", "read", "cancel", "administer"]'


def upgrade() -> None:
    """Give the keys of before all that they could do; a new key names what it may."""
    op.add_column(
        "api_keys",
        sa.Column(
            "permissions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text(f"'{EVERYTHING}'::jsonb"),
            nullable=False,
        ),
    )
    op.alter_column("api_keys", "permissions", server_default=None)
    for name in LISTS:
        kind = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
        op.add_column("api_keys", sa.Column(name, kind, nullable=True))
    op.create_check_constraint(
        op.f("ck_api_keys_permissions"),
        "api_keys",
        f"jsonb_typeof(permissions) = 'array' AND permissions <@ '{EVERYTHING}'::jsonb",
    )
    op.create_check_constraint(
        op.f("ck_api_keys_lists"),
        "api_keys",
        " AND ".join(f"coalesce(jsonb_typeof({name}), 'array') = 'array'" for name in LISTS),
    )


def downgrade() -> None:
    """Revoke the keys that may not do everything: the release before would let them."""
    op.execute(f"""
        UPDATE api_keys SET revoked_at = now() WHERE revoked_at IS NULL AND NOT (
            permissions @> '{EVERYTHING}'::jsonb
            AND profiles IS NULL AND images IS NULL AND networks IS NULL)
    """)
    op.drop_constraint(op.f("ck_api_keys_lists"), "api_keys")
    op.drop_constraint(op.f("ck_api_keys_permissions"), "api_keys")
    for name in (*LISTS, "permissions"):
        op.drop_column("api_keys", name)
