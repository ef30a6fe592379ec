"""The README's script is all another system needs: no package of ours, one command, its outcome, and a job's events."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

from tests.fixtures.studio import Studio, eventually

README = Path(__file__).parents[2] / "README.md"


def readme_script() -> str:
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "tunebus." in script
    assert not re.search(r"^\s*(import|from) tunebus", script, re.MULTILINE)
    return str(script)


def test_the_readme_s_script_adds_a_dataset_and_follows_a_job(studio: Studio, tmp_path: Path) -> None:
    rows = studio.home / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"{n} plus 1?", "answer": str(n + 1)}) + "\n" for n in range(40)))
    script = tmp_path / "script.py"
    script.write_text(readme_script())
    process = subprocess.Popen(
        [sys.executable, str(script), studio.status()["nats_url"], str(rows)], stdout=subprocess.PIPE, text=True
    )
    lines: list[str] = []

    def collect() -> None:
        for line in process.stdout or ():
            lines.append(line)

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        outcome = json.loads(eventually(lambda: lines and lines[0], "the outcome", 60))
        assert outcome["outcome"] == "accepted"
        assert outcome["error"] is None
        with studio.client() as client:
            eventually(lambda: client.query("ListModels", {})["items"], "the starter model", 60)
            started = client.send(
                "StartFineTuningJob", {"base_model_id": "starter", "dataset_id": outcome["id"], "max_steps": 2}
            )
            assert started.outcome == "accepted", started
        eventually(lambda: any("JobSucceeded" in line for line in lines), "the job's success on the bus", 120)
        seen = [line.split(" ", 1) for line in lines[1:]]
        types = [subject.rsplit(".", 1)[1] for subject, _ in seen if started.id and started.id in subject]
        assert types[:3] == ["FineTuningJobAdded", "JobQueued", "AttemptStarted"]
        assert types[-1] == "JobSucceeded"
        positions = [json.loads(body)["position"] for _, body in seen]
        assert positions == sorted(set(positions))
    finally:
        process.kill()
        process.wait()
        reader.join(10)
