"""The page that draws in the browser: its files put together, and a server for it.

The modules import one another in this order: `runtime`, `site`, `server`.
"""

from .runtime import fetch_runtime, find_runtime
from .server import make_server
from .site import build_site, page_folder

__all__ = ["build_site", "fetch_runtime", "find_runtime", "make_server", "page_folder"]
