"""A child without torch that keeps to the protocol of training children; what it does stands in its recipe's `play`.

python fake_child.py JOB.json
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
folder = Path(job["attempt_folder"])
play = {"steps": 3, "pause": 0.01, "save_every": 0, "end": "finish", **job["recipe"].get("play", {})}
stopping = threading.Event()
number = 0


def follow_lifeline() -> None:
    if os.environ.get("TUNEBUS_LIFELINE") == "stdin":
        while os.read(0, 4096):
            pass
        os._exit(77)


def write_json(path: Path, document: object) -> None:
    draft = path.with_name("." + path.name)
    draft.write_text(json.dumps(document))
    draft.replace(path)


def record(**fields: object) -> None:
    global number
    number += 1
    with (folder / "telemetry.jsonl").open("a") as spool:
        spool.write(json.dumps({"n": number, "t": time.time(), **fields}, separators=(",", ":")) + "\n")


def save(step: int) -> None:
    target = folder / "checkpoints" / f"step-{step:08d}"
    target.mkdir(parents=True)
    (target / "weights").write_text(f"weights of step {step}")
    digest = hashlib.sha256((target / "weights").read_bytes()).hexdigest()
    files = {"weights": {"size": (target / "weights").stat().st_size, "sha256": digest}}
    write_json(target / "manifest.json", {"step": step, "files": files, "metrics": {"loss": 1 / step}, "time": 0})


threading.Thread(target=follow_lifeline, daemon=True).start()
signal.signal(signal.SIGTERM, signal.SIG_IGN if play.get("deaf") else lambda *_: stopping.set())
print(f"attempt {job['attempt']} of {job['job_id']}", flush=True)
write_json(folder / "environment.json", dict(os.environ))
first = 0
if job["resume_from"]:
    first = json.loads((Path(job["resume_from"]) / "manifest.json").read_text())["step"]
write_json(
    folder / "running.json",
    {"total_steps": play["steps"], "resumed_from_step": first, "resolved": {"pid": os.getpid()}, "versions": {}},
)
step = first
while step < play["steps"] and not stopping.is_set():
    step += 1
    time.sleep(play["pause"])
    record(k="metric", step=step, values={"loss": 1 / step})
    if play["save_every"] and step % play["save_every"] == 0:
        save(step)
if play.get("last_words"):
    print(play["last_words"], flush=True)
if play["end"] == "torn":
    with (folder / "telemetry.jsonl").open("a") as spool:
        spool.write('{"n":999,"t":1,"k":"met')
    os.kill(os.getpid(), signal.SIGKILL)
if play["end"] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if play["end"] == "crash":
    raise RuntimeError("the sky is falling")
if play["end"] == "hang":
    while not stopping.is_set():
        time.sleep(0.01)
if play["end"] == "fail":
    failure = {
        "outcome": "failed",
        "cause": "nan_loss",
        "message": "the loss is no number",
        "detail": "",
        "hint": "lower",
    }
    write_json(folder / "result.json", failure)
    sys.exit(1)
if stopping.is_set():
    save(step)
(folder / "adapter").mkdir()
write_json(
    folder / "result.json",
    {
        "outcome": "stopped" if stopping.is_set() else "finished",
        "step": step,
        "result": "adapter",
        "result_sha256": "0" * 64,
        "metrics": {"loss": 0.5},
    },
)
if play["end"] == "linger":
    time.sleep(600)
