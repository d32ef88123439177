"""Holds an interpreter at the end of its start-up until a job comes, and leaves no trace.

What follows is the interpreter's own way to run main.py. The image's own module of our name is
loaded in our place, as it would have been without us.
"""

import os
import site
import sys

_folder, _packages = __file__.rsplit("/", 1)[0], __file__.rsplit("/", 3)[0]
sys.path.remove(_folder)
del os.environ["PYTHONPATH"], sys.modules[__name__]
# The start-up had another home folder: a run may have put packages of its own into the true one.
os.environ["HOME"] = "/workspace"
site.USER_BASE = site.USER_SITE = None
site.getusersitepackages()
_failure = None
try:
    __import__(__name__)
except Exception as error:
    _failure = error  # raised again at our end, for site to treat it as it does
_known = set(sys.modules)
_waiting = None
try:
    sys.path.insert(0, _packages)
    _waiting = __import__("guest.prepared.waiting", fromlist=["waiting"])
    _begin = _waiting.await_job()
    sys.path.remove(_packages)
    for _name in set(sys.modules) - _known:
        del sys.modules[_name]
    for _name in [_name for _name in sys.path_importer_cache if _name.startswith(_packages)]:
        del sys.path_importer_cache[_name]
    _begin()
except BaseException as error:
    # Or the interpreter would go on, without what the job asks for.
    if _waiting is not None:
        _waiting.tell_of(error)
    os._exit(127)
if _failure is not None:
    raise _failure
