"""The reference application: parliamentary papers analysed by a language model that limits its callers.

`pacer.demo.app` is the FastAPI application, `pacer.demo.upstream` a stand-in for the rate-limited chat service, and
`pacer demo` runs both. Needs the `demo` extra.
"""
