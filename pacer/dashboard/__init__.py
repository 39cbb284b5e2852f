"""A page that shows a running queue and, to those who may, steers it: mount it in a FastAPI or Starlette application.

    app.mount("/queue", dashboard(scheduler, auth=require_admin))

Needs the `fastapi` extra.
"""

from pacer import _extras

with _extras.needed("fastapi"):
    from pacer.dashboard._app import dashboard as dashboard

__all__ = ["dashboard"]
