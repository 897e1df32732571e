"""`auth_type="external-browser"` of the SDK, with a person's browser played by `requests`. Run in a client's environment."""

import html
import json
import os
import re
import threading
import time
import webbrowser

import requests
from databricks.sdk import WorkspaceClient

pages = []


def fields(page):
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in found}


def follow(browser, url):
    """As a browser does: through all redirects, as far as there is a page."""
    while True:
        page = browser.get(url, headers={"Accept": "text/html"}, allow_redirects=False, timeout=30)
        if page.status_code not in (302, 303):
            return page
        url = requests.compat.urljoin(url, page.headers["location"])


def person(url):
    browser = requests.Session()
    browser.trust_env = False
    asked = follow(browser, url)
    pages.append(["provider", asked.status_code])
    back = browser.post(asked.url, data={"sub": os.environ["PERSON"]}, allow_redirects=False, timeout=30)
    consent = follow(browser, back.headers["location"])
    pages.append([re.search("<h1>(.*?)</h1>", consent.text)[1], consent.status_code])
    host = os.environ["DATABRICKS_HOST"]
    answer = browser.post(
        host + "/oidc/v1/authorize",
        data={**fields(consent), "answer": "allow"},
        headers={"Origin": host, "Accept": "text/html"},
        allow_redirects=False,
        timeout=30,
    )
    end = time.monotonic() + 30
    while True:
        try:  # the SDK listens a moment after it opened the browser
            pages.append(["program", requests.get(answer.headers["location"], timeout=30).status_code])
            return
        except requests.ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.05)


def open_new(url):
    threading.Thread(target=person, args=(url,), daemon=True).start()
    return True


webbrowser.open_new = open_new
w = WorkspaceClient(auth_type="external-browser")
seen = {"auth": w.config.auth_type, "me": w.current_user.me().user_name, "pages": list(pages)}
seen["predictions"] = w.serving_endpoints.query("quick", dataframe_records=[{"a": 1.0}]).predictions
pages.clear()
again = WorkspaceClient(auth_type="external-browser")
seen["again"] = [again.current_user.me().user_name, list(pages)]
print(json.dumps(seen))
