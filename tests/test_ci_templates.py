"""The CI templates: one comment that is brought up to date, the compiled engine in the cache, the job's end by the verdict."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlparse

import pytest
from ruamel.yaml import YAML

from sim.cli import app
from sim.engines.compiled.code_folder import cache_folder

CI = Path(__file__).parents[1] / "docs" / "ci"
MARK = "<!-- fotasim -->"


def template(name):
    """A template as data."""
    return YAML(typ="safe").load((CI / name).read_text(encoding="utf-8"))


def step(name):
    """A step of the GitHub job by its name."""
    return next(s for s in template("github.yml")["jobs"]["simulate"]["steps"] if s.get("name") == name)


GH = """#!{python}
import json, sys
store, args = {store!r}, sys.argv[1:]
comments = json.load(open(store))
assert args[0] == "api"
if "--method" not in args:
    assert args[1] == "repos/acme/fw/issues/7/comments" and "--paginate" in args
    wanted = '.[] | select(.body | startswith("<!-- fotasim -->")) | .id'
    assert args[args.index("--jq") + 1] == wanted, args
    for c in comments:
        if c["body"].startswith("<!-- fotasim -->"):
            print(c["id"])
    sys.exit()
method, path = args[args.index("--method") + 1], args[args.index("--method") + 2]
field = args[args.index("-F") + 1]
assert field == "body=@comment.md"
body = open("comment.md").read()
if method == "POST":
    assert path == "repos/acme/fw/issues/7/comments"
    comments.append({{"id": 100 + len(comments), "body": body}})
else:
    assert method == "PATCH"
    (old,) = [c for c in comments if path == f"repos/acme/fw/issues/comments/{{c['id']}}"]
    old["body"] = body
json.dump(comments, open(store, "w"))
"""


def test_github_updates_its_one_comment(tmp_path):
    """Two pushes leave one comment with the second report; what others wrote stays, also where they quote the report."""
    store = tmp_path / "comments.json"
    others = [{"id": 1, "body": "LGTM"}, {"id": 2, "body": f"> quoted\n{MARK}"}]
    store.write_text(json.dumps(others))
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable, store=str(store)))
    gh.chmod(0o755)
    (tmp_path / "run").mkdir()
    environment = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "acme/fw", "NUMBER": "7"}
    for text in ("first report", "second report"):
        (tmp_path / "run" / "report.md").write_text(text)
        subprocess.run(
            ["bash", "-e", "-c", step("Comment")["run"]], cwd=tmp_path, env=environment, check=True, timeout=60
        )
    found = json.loads(store.read_text())
    assert found[:2] == others
    assert [c["body"] for c in found[2:]] == [f"{MARK}\nsecond report"]


class Notes(BaseHTTPRequestHandler):
    """GitLab's notes of a merge request: listed by pages of at most 100, oldest first."""

    notes: ClassVar[list[dict]] = []

    def _body(self):
        assert self.headers["PRIVATE-TOKEN"] == "secret"
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length) or b"{}").get("body")

    def _answer(self, found):
        data = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        """A page of the notes."""
        self._body()
        asked = parse_qs(urlparse(self.path).query)
        size, page = int(asked["per_page"][0]), int(asked.get("page", ["1"])[0])
        self._answer(self.notes[size * (page - 1) : size * page])

    def do_POST(self):
        """A new note."""
        self.notes.append({"id": 1000 + len(self.notes), "body": self._body()})
        self._answer(self.notes[-1])

    def do_PUT(self):
        """Another text of a note."""
        (note,) = [n for n in self.notes if self.path.endswith(f"/notes/{n['id']}")]
        note["body"] = self._body()
        self._answer(note)

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.mark.parametrize("others", [3, 250])
def test_gitlab_updates_its_one_comment(tmp_path, others):
    """Two pushes leave one note with the second report, on merge requests with more notes than a page of the API as well."""
    before = [{"id": n, "body": f"note {n}"} for n in range(others)]
    Notes.notes = [dict(n) for n in before]
    script = next(line for line in template("gitlab.yml")["rollout"]["script"] if "PYTHON" in line)
    code = re.search(r"<<'PYTHON'\n(.*)\nPYTHON", script, flags=re.DOTALL)[1]
    server = HTTPServer(("127.0.0.1", 0), Notes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "run").mkdir()
    environment = {
        "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}/api/v4", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7",
        "ROLLOUT_TOKEN": "secret",
    }  # fmt: skip
    try:
        for text in ("first report", "second report"):
            (tmp_path / "run" / "report.md").write_text(text)
            subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    assert Notes.notes[:others] == before
    assert [n["body"] for n in Notes.notes[others:]] == [f"{MARK}\nsecond report"]


def test_the_compiled_engine_is_kept_where_it_is_looked_for(monkeypatch):
    """GitHub keeps the folder that is used without FOTASIM_CACHE; GitLab keeps the one FOTASIM_CACHE names."""
    kept = step("Compiled engine")["with"]
    monkeypatch.delenv("FOTASIM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Path(kept["path"]).expanduser() == Path.home() / ".cache" / "fotasim" == cache_folder()
    assert kept["restore-keys"].strip() == kept["key"].rpartition("${{ github.sha }}")[0]
    job = template("gitlab.yml")["rollout"]
    assert job["variables"]["FOTASIM_CACHE"] == f"$CI_PROJECT_DIR/{job['cache']['paths'][0]}"


@pytest.mark.parametrize(("status", "goes_on"), [(0, True), (1, True), (4, True), (2, False), (3, False), (130, False)])
def test_the_report_is_posted_for_every_verdict_and_for_no_failure(tmp_path, status, goes_on):
    """No go (1) and Marginal (4) are reported and then end the job; wrong input and failures end it at once."""
    fotasim = tmp_path / "fotasim"
    fotasim.write_text(f"#!/bin/sh\nexit {status}\n")
    fotasim.chmod(0o755)
    out = tmp_path / "out"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SCENARIO": "x.yaml", "GITHUB_OUTPUT": str(out)}
    done = subprocess.run(
        ["bash", "-e", "-c", step("Simulate")["run"]], env=environment, cwd=tmp_path, check=False, timeout=60
    )
    assert (done.returncode == 0) == goes_on
    assert out.read_text() == f"code={status}\n"
    assert step("Verdict")["run"] == "exit ${{ steps.run.outputs.code }}"
    lines = [line for line in template("gitlab.yml")["rollout"]["script"] if "code" in line and "PYTHON" not in line][
        :2
    ]
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)], env=environment, cwd=tmp_path, check=False, timeout=60
    )
    assert (done.returncode == 0) == goes_on


def test_a_release_is_built_and_tried_before_it_is_published():
    """The workflow calls the script of this repository, which tries the wheel by commands that there are."""
    jobs = template("release.yml")["jobs"]
    assert [s["run"] for s in jobs["build"]["steps"] if "run" in s] == ['make release TAG="$GITHUB_REF_NAME"']
    assert jobs["publish"]["needs"] == "build"
    script = CI.parents[1] / ".ci" / "release"
    assert os.access(script, os.X_OK) and subprocess.run(["bash", "-n", script], check=False).returncode == 0
    called = re.findall(r"^(?:judged )?fotasim (\w+|--version)", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert called == ["--version", "new", "validate", "run", "report", "verify"]
    assert {*called[1:]} <= {c.name or c.callback.__name__ for c in app.registered_commands}
