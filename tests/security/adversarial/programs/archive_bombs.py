"""Unpacks the archives that it was given, 256 MB each."""

import gzip
import shutil
import zipfile
from pathlib import Path

from attempt import attempt, refused, report


def unpack_zip():
    with zipfile.ZipFile("bomb.zip") as archive:
        archive.extractall("/workspace/zip")


def unpack_gzip():
    with gzip.open("bomb.gz") as source, Path("/tmp/gzip").open("wb") as target:
        shutil.copyfileobj(source, target)


attempt("zip", unpack_zip)
shutil.rmtree("zip", ignore_errors=True)
attempt("gzip", unpack_gzip)
print(sorted(refused.values()))
report()
