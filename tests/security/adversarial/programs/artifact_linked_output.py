"""Makes the output folder itself a link to /etc."""

import os

os.rmdir("output")
os.symlink("/etc", "output")
