"""`tieout.js`, the module for pages in browsers: what a person wants is sent once.

`tieout serve` has it at `/v1/tieout.js`; a site of another kind serves it from here.
"""

from tieout.browser.module import MODULE, serve_module

__all__ = ["MODULE", "serve_module"]
