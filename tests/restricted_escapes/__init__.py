"""Known ways out of RestrictedPython, and our own: each must end in a refusal, on its line.

A way that is caught while the program runs may be wrapped in `try` by the program; the ways here
are not, so that each ends with the refusal's line and words.
"""

from tests.restricted_escapes.attributes import ATTRIBUTES
from tests.restricted_escapes.classes import CLASSES
from tests.restricted_escapes.code import CODE
from tests.restricted_escapes.escape import MARK, Escape
from tests.restricted_escapes.files import FILES
from tests.restricted_escapes.formats import FORMATS
from tests.restricted_escapes.guards import GUARDS
from tests.restricted_escapes.library import LIBRARY
from tests.restricted_escapes.modules import MODULES

__all__ = ["ESCAPES", "MARK", "Escape"]

ESCAPES = (*ATTRIBUTES, *FORMATS, *CLASSES, *GUARDS, *MODULES, *CODE, *LIBRARY, *FILES)
