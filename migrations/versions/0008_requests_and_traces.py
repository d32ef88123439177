"""Where an execution came from: the id of its HTTP request, and the trace that it continues"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # rather fail than queue everybody behind us
    op.add_column("executions", sa.Column("request_id", sa.Text()))
    op.add_column("executions", sa.Column("trace_parent", sa.Text()))


def downgrade() -> None:
    op.drop_column("executions", "trace_parent")
    op.drop_column("executions", "request_id")
