"""What an execution did on its network"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a place for the totals; the decisions are in the audit trail."""
    kind = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("executions", sa.Column("network", kind, nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "network")
