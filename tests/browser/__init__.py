"""The dashboard in a real browser: Chromium, headless, driven by Playwright.

One browser for each pytest worker that runs some of these tests, closed before it runs others, because Playwright's
event loop runs on the main thread as long as it lives. A new context, with empty storage, for each page. Every page is
watched: a dialog, an exception, a line in the console or a request to another host fails the test.

`PACER_SCREENSHOTS=docs/assets` writes the screenshots of the docs there.
"""
