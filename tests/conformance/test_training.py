"""Fine-tuning jobs, conformance 19-21 and 23-25, and what a training makes, keeps and says, through the bus."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tunebus.contracts.errors import Code, Problem
from tunebus.services.platform import database
from tunebus.services.platform.child.attempt import Attempt, carry_out
from tunebus.services.platform.child.spool import Spool
from tunebus.services.platform.settings import Settings
from tunebus.services.platform.worker.attempt import WorkerKind, attempt_folder, prepare
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.projector.parsing import parse
from tunebus.services.projector.store import Store
from tunebus.services.trainer import checkpoints

from tests.fixtures.registry import Running, eventually
from tests.fixtures.tiny_models import PLAIN_TEMPLATE, make_model
from tests.fixtures.training import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Copy = Callable[[Path], Path]


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The folder of user scripts; where a test names it, the operator has."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    return folder


@pytest.fixture
def registry_settings(registry_settings: Settings, request: pytest.FixtureRequest) -> Settings:
    if "scripts" not in request.fixturenames:
        return registry_settings
    return registry_settings.model_copy(update={"user_scripts": request.getfixturevalue("scripts")})


@pytest.fixture
async def tiny(running: Running, copied: Copy, tiny_model: Path, questions: Path) -> tuple[str, str]:
    """A tiny model and a dataset of questions, added; their names."""
    await running.accepted("AddModel", name="tiny", path=str(copied(tiny_model)))
    await running.accepted("AddDataset", name="questions", path=str(copied(questions)))
    return "tiny", "questions"


async def started(running: Running, **changes: Any) -> str:
    """The id of a short job on the tiny model."""
    asked = {
        "base_model_id": "tiny",
        "dataset_id": "questions",
        "max_steps": 4,
        "batch_size": 4,
        "train_test_split": 0.9,
        "eval_samples": 0,
        **changes,
    }
    return await running.accepted("StartFineTuningJob", **{name: v for name, v in asked.items() if v is not None})


async def shown(running: Running, job_id: str) -> dict[str, Any]:
    return await running.client.query("GetFineTuningJob", id=job_id)


def by_field(problem: Problem) -> dict[str, Problem]:
    return {str(each.param): each for each in problem.details or [problem]}


@on_one_database
async def test_conformance_19_every_wrong_field_is_refused_at_once_in_its_own_words(
    running: Running, tiny: tuple[str, str]
) -> None:
    await started(running, adapter_name="taken")
    wrong = {
        "num_cpu": 0,
        "num_gpu": -1,
        "num_memory": -0.5,
        "num_workers": 0,
        "num_epochs": -3,
        "learning_rate": "nan",
        "dataset_fraction": 0,
        "train_test_split": 1.5,
        "base_model_id": "nobody",
        "dataset_id": "nothing",
        "prompt_id": "unsaid",
        "adapter_name": "taken",
        "method": "lara",
        "training_arguments": {"lerning_rate": 1},
        "lora": "0197a3f2-7c00-7000-8000-00000000ffff",
    }
    found = by_field(await running.refused("StartFineTuningJob", **wrong))
    for name in ("num_cpu", "num_gpu", "num_memory", "num_workers", "num_epochs", "learning_rate", "dataset_fraction"):
        assert found[name].code == Code.INVALID
        assert str(wrong[name]) in found[name].message
    assert "1.5" in found["train_test_split"].message
    for name in ("base_model_id", "dataset_id", "prompt_id", "lora"):
        assert found[name].code == Code.NOT_FOUND
        assert str(wrong[name]) in found[name].message
    assert found["adapter_name"].code == Code.DUPLICATE_NAME
    assert (found["method"].code, found["method"].hint) == (Code.NOT_SUPPORTED, "did you mean 'lora'?")
    assert found["training_arguments.lerning_rate"].hint == "did you mean 'learning_rate'?"
    assert len(running.events("FineTuningJobAdded")) == 1


CANNOT_BE_DONE: list[tuple[dict[str, Any], str, Code]] = [
    ({"learning_rate": 0}, "learning_rate", Code.INVALID),
    ({"adapter_name": "no spaces"}, "adapter_name", Code.INVALID),
    ({"num_epochs": True}, "num_epochs", Code.INVALID),
    ({"training_arguments": {"num_train_epochs": True}}, "training_arguments.num_train_epochs", Code.INVALID),
    ({"adapter_name": "--help"}, "adapter_name", Code.INVALID),
    ({"adapter_name": "0197A3F2-7c00-7000-8000-00000000ffff"}, "adapter_name", Code.INVALID),
    ({"framework_type": "jax"}, "framework_type", Code.NOT_SUPPORTED),
    ({"num_workers": 2}, "num_workers", Code.NOT_SUPPORTED),
    ({"num_gpu": 2}, "num_gpu", Code.NOT_SUPPORTED),
    ({"quantization": {"load_in_4bit": True}}, "quantization", Code.NOT_SUPPORTED),
    ({"method": "full", "lora": {"r": 4}}, "lora", Code.INVALID),
    ({"method": "full", "adapter_name": "tiny"}, "adapter_name", Code.DUPLICATE_NAME),
    ({"user_config": {"steps": 3}}, "user_config", Code.INVALID),
    ({"num_epochs": 1e300}, "num_epochs", Code.INVALID),
    ({"training_arguments": {"num_train_epochs": 1e300}}, "training_arguments.num_train_epochs", Code.INVALID),
    ({"dataset_fraction": 1e-12}, "dataset_fraction", Code.INVALID),
    ({"train_test_split": 1e-12}, "train_test_split", Code.INVALID),
    ({"dataset_id": "single"}, "dataset_id", Code.INVALID),
    ({"lora": {"target_modules": []}}, "lora.target_modules", Code.INVALID),
    ({"lora": {"target_modules": ["q_prj"]}}, "lora.target_modules", Code.INVALID),
    ({"lora": {"target_modules": ["layers.0.self_attn.nope"]}}, "lora.target_modules", Code.INVALID),
    ({"training_arguments": {"precision": "float16"}}, "training_arguments.precision", Code.INVALID),
    ({"train_test_split": 1.0, "early_stopping_patience": 2}, "early_stopping_patience", Code.INVALID),
    ({"train_test_split": 1.0, "load_best_model_at_end": True}, "load_best_model_at_end", Code.INVALID),
]


@on_one_database
async def test_conformance_19_what_cannot_be_done_is_refused_before_it_starts(
    running: Running, tiny: tuple[str, str]
) -> None:
    start = {"base_model_id": tiny[0], "dataset_id": tiny[1]}
    single = running.write("single.jsonl", '{"question": "q", "answer": "a"}\n')
    await running.accepted("AddDataset", name="single", path=str(single))
    for changes, field, code in CANNOT_BE_DONE:
        problem = await running.refused("StartFineTuningJob", **{**start, **changes})
        assert (problem.param, problem.code) == (field, code), problem
        assert problem.message
    problem = await running.refused("StartFineTuningJob", **start, lora={"target_modules": ["q_prj"]})
    assert (problem.message, problem.hint) == ("model 'tiny' has no module 'q_prj'", "did you mean 'q_proj'?")
    assert not running.events("FineTuningJobAdded")
    await running.accepted("StartFineTuningJob", **{**start, "dataset_id": "single"}, train_test_split=1.0)
    for modules in (["model.layers.0.self_attn.q_proj"], ["v_proj", "lm_head"]):
        await running.accepted("StartFineTuningJob", **start, lora={"target_modules": modules})
    half = {"training_arguments": {"precision": "float16"}, "num_gpu": 1}
    await running.accepted("StartFineTuningJob", **start, **half)


@on_one_database
async def test_conformance_20_rows_that_are_chats_or_pairs_train_without_a_prompt(
    running: Running, trainer: Trainer, tiny: tuple[str, str]
) -> None:
    pair = {"prompt": "what colour", "completion": "red"}
    chat = [{"role": "user", "content": "what colour"}, {"role": "assistant", "content": "red"}]
    for kind, row in (("messages", {"messages": chat}), ("prompt_completion", pair)):
        path = running.write(f"{kind}.jsonl", f"{json.dumps(row)}\n" * 20)
        await running.accepted("AddDataset", name=kind, path=str(path))
        job_id = await started(running, dataset_id=kind, max_steps=2)
        await trainer.work()
        job = await shown(running, job_id)
        assert (job["state"], job["recipe"]["dataset"]["format"], job["prompt_id"]) == ("succeeded", kind, None)


@on_one_database
async def test_conformance_21_epochs_and_rate_of_the_command_win_and_the_attempt_s_event_says_what_ran(
    running: Running, trainer: Trainer, tiny: tuple[str, str]
) -> None:
    config = await running.accepted(
        "AddConfig",
        type="training_arguments",
        config={"num_train_epochs": 5, "learning_rate": 0.1, "weight_decay": 0.3},
    )
    job_id = await started(
        running, max_steps=None, batch_size=27, num_epochs=2, learning_rate=3e-4, num_cpu=1, num_memory=8.0,
        training_arguments=config,
    )  # fmt: skip
    folder = await trainer.work()
    (event,) = running.events("AttemptRunning", job_id)
    ran = event.data["resolved"]
    assert (ran["num_train_epochs"], ran["learning_rate"], ran["weight_decay"]) == (2.0, 3e-4, 0.3)
    assert (event.data["total_steps"], ran["threads"], ran["num_memory_gb"]) == (4, 1, 8.0)
    assert (ran["method"], ran["text_format"]) == ("lora", "chat")
    rates = [r["values"]["learning_rate"] for r in telemetry(folder) if "learning_rate" in r.get("values", {})]
    assert max(rates) == pytest.approx(3e-4)
    sources = (await shown(running, job_id))["recipe"]["sources"]
    assert (sources["num_train_epochs"], sources["weight_decay"], sources["seed"]) == ("command", "config", "default")
    assert (await shown(running, job_id))["recipe"]["reasons"]["text_format"] == "the model has a chat template"
    written = {"learning_rate": 0.1, "weight_decay": 0.3}
    other = await started(running, learning_rate=3e-4, training_arguments=written, adapter_name="other")
    arguments = (await shown(running, other))["recipe"]["training_arguments"]
    assert (arguments["learning_rate"], arguments["weight_decay"]) == (3e-4, 0.3)


@on_one_database
async def test_conformance_23_a_reserved_token_pads_nothing_grows_and_the_model_learns_to_stop(
    running: Running, trainer: Trainer, tmp_path: Path
) -> None:
    """The method full, so that it is the model itself that is looked at; its tokenizer pads with what ends a text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = make_model(running.files / "padless", PLAIN_TEMPLATE, pad=False)
    settings = base / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "pad_token": "<|end|>"}))
    await running.accepted("AddModel", name="padless", path=str(base))
    rows = "".join(json.dumps({"question": f"what {word}", "answer": "red one"}) + "\n" for word in "abcdefgh" * 4)
    await running.accepted("AddDataset", name="always-red", path=str(running.write("red.jsonl", rows)))
    job_id = await started(
        running, base_model_id="padless", dataset_id="always-red", method="full", adapter_name="says-red",
        learning_rate=1e-2, max_steps=60, eval_steps=1000, eval_samples=2,
    )  # fmt: skip
    folder = await trainer.work()
    assert running.events("AttemptRunning", job_id)[0].data["resolved"]["pad_token"] == "<|reserved_0|>"

    made = trainer.home.resolve((await running.client.query("GetModel", id="says-red"))["location"])
    tokenizer, model = AutoTokenizer.from_pretrained(made), AutoModelForCausalLM.from_pretrained(made)
    before = AutoModelForCausalLM.from_pretrained(base)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|reserved_0|>", "<|end|>")
    assert model.get_input_embeddings().weight.shape == before.get_input_embeddings().weight.shape
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "what z"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**asked, max_new_tokens=20, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "red one<|end|>"
    assert isinstance(answer, torch.Tensor)
    samples = [record for record in telemetry(folder) if record["k"] == "sample"]
    assert {record["answer"] for record in samples if record["step"] == 60} == {"red one"}


async def test_conformance_24_the_adapter_is_registered_with_model_prompt_and_job_unless_told_not_to(
    running: Running, trainer: Trainer, tiny: tuple[str, str]
) -> None:
    prompt = await running.accepted(
        "AddPrompt", name="p", dataset_id="questions", prompt_template="{input} {completion}",
        input_template="{question}", completion_template="{answer}",
    )  # fmt: skip
    job_id = await started(running, adapter_name="mine", max_steps=1, prompt_id="p")
    await trainer.work()
    job, made = await shown(running, job_id), await running.client.query("GetAdapter", id="mine")
    assert (made["fine_tuning_job_id"], made["prompt_id"], made["model_name"]) == (job_id, prompt, "tiny")
    assert (job["adapter_id"], job["state"], job["model_id"]) == (made["id"], "succeeded", None)
    assert (trainer.home.resolve(made["location"]) / "adapter_model.safetensors").is_file()

    quiet = await started(running, adapter_name="unlisted", max_steps=1, register_adapter=False)
    await trainer.work()
    job = await shown(running, quiet)
    assert (job["state"], job["adapter_id"]) == ("succeeded", None)
    assert (trainer.home.resolve(job["result_uri"]) / "adapter_config.json").is_file()
    assert [found["name"] for found in (await running.client.query("ListAdapters"))["items"]] == ["mine"]
    assert (await running.refused("StartFineTuningJob", base_model_id="tiny", dataset_id="questions",
                                  adapter_name="unlisted")).code == Code.DUPLICATE_NAME  # fmt: skip
    added = await running.accepted(
        "AddAdapter", name="unlisted", model_id="tiny", path=job["result_uri"], fine_tuning_job_id=quiet
    )
    assert (await running.client.query("GetAdapter", id="unlisted"))["id"] == added


SCRIPT = """
import json
import time

from safetensors.torch import save_file
from tunebus.services.trainer import script

import neighbour
import torch

run = script.current()
run.begin(run.config["steps"], colour=neighbour.COLOUR)
folder = run.work_folder / "work"
folder.mkdir(exist_ok=True)
done = run.resumed_step
for step in range(done + 1, run.config["steps"] + 1):
    run.log(step, loss=1 / step, rows=len(run.rows()), held_out=len(run.held_out_rows()))
    (folder / "state.json").write_text(json.dumps({"step": step}))
    while step == run.config.get("wait_at") and not done and not run.should_stop:
        time.sleep(0.01)
    if run.should_stop:
        run.save_checkpoint(folder, step, loss=1 / step)
        raise SystemExit
base = {"peft_type": "LORA", "r": 1, "base_model_name_or_path": str(run.model_folder)}
(folder / "adapter_config.json").write_text(json.dumps(base))
save_file({"base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": torch.zeros(1, 48)},
          folder / "adapter_model.safetensors")
print("the script says hello")
run.finish(folder, accuracy=0.5)
"""


@on_one_database
async def test_conformance_25_a_script_is_refused_while_the_operator_has_not_switched_scripts_on(
    running: Running, tiny: tuple[str, str]
) -> None:
    problem = await running.refused(
        "StartFineTuningJob", base_model_id="tiny", dataset_id="questions", user_script="train.py"
    )
    assert (problem.code, problem.param) == (Code.NOT_PERMITTED, "user_script")
    assert "TUNEBUS_USER_SCRIPTS" in str(problem.hint)


@on_one_database
async def test_conformance_25_a_script_runs_in_place_of_the_recipe_with_its_config(
    running: Running, trainer: Trainer, tiny: tuple[str, str], scripts: Path
) -> None:
    (scripts / "train.py").write_text(SCRIPT)
    (scripts / "neighbour.py").write_text("COLOUR = 'green'\n")
    (scripts / "away.py").symlink_to("/etc/hostname")
    start = {"base_model_id": "tiny", "dataset_id": "questions", "adapter_name": "scripted", "train_test_split": 0.9}
    for name, code in (
        ("nothing.py", Code.NOT_FOUND),
        ("../ledger.db", Code.NOT_PERMITTED),
        ("/etc/hostname", Code.NOT_PERMITTED),
        ("away.py", Code.NOT_PERMITTED),
    ):
        problem = await running.refused("StartFineTuningJob", **start, user_script=name)
        assert (problem.param, problem.code) == ("user_script", code)

    job_id = await running.accepted("StartFineTuningJob", **start, user_script="train.py", user_config={"steps": 3})
    folder = await trainer.work()
    job = await shown(running, job_id)
    assert (job["state"], job["metrics"]["accuracy"], job["user_script"]) == ("succeeded", 0.5, "train.py")
    kept = job["recipe"]["user_script"]
    assert kept["sha256"] == hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert kept["config"] == {"steps": 3}
    ran = job["attempts_made"][0]["resolved"]
    assert (ran["user_script_sha256"], ran["user_config"], ran["colour"]) == (kept["sha256"], {"steps": 3}, "green")
    curve = [record["values"] for record in telemetry(folder) if record["k"] == "metric"]
    assert [point["loss"] for point in curve] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert (curve[0]["rows"], curve[0]["held_out"]) == (54.0, 6.0)
    made = await running.client.query("GetAdapter", id="scripted")
    config = json.loads((trainer.home.resolve(made["location"]) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-model0"


@on_one_database
async def test_conformance_25_a_script_stops_when_told_and_goes_on_from_its_checkpoint(
    running: Running, trainer: Trainer, tiny: tuple[str, str], scripts: Path
) -> None:
    (scripts / "train.py").write_text(SCRIPT)
    (scripts / "neighbour.py").write_text("COLOUR = 'green'\n")
    job_id = await running.accepted(
        "StartFineTuningJob", base_model_id="tiny", dataset_id="questions", user_script="train.py",
        user_config={"steps": 4, "wait_at": 2},
    )  # fmt: skip

    await trainer.work(stopped_after(2))
    assert (await shown(running, job_id))["state"] == "queued"
    folder = await trainer.work()
    job = await shown(running, job_id)
    assert job["state"] == "succeeded"
    assert [job["checkpoints"][0]["step"], job["attempts_made"][1]["resumed_from_step"]] == [2, 2]
    assert [record["step"] for record in telemetry(folder) if record["k"] == "metric"] == [3, 4]

    (scripts / "train.py").write_text(SCRIPT + "\n# changed\n")
    again = await running.accepted(
        "StartFineTuningJob", base_model_id="tiny", dataset_id="questions", user_script="train.py", user_config={}
    )
    (scripts / "train.py").write_text(SCRIPT)
    await trainer.work()
    failed = await shown(running, again)
    assert (failed["state"], failed["cause"]) == ("failed", "bad_configuration")
    assert "has changed since the job was started" in failed["message"]


@on_one_database
async def test_the_method_full_makes_a_model_that_resumes_is_evaluated_and_trained_further(
    running: Running, trainer: Trainer, questions: Path, copied: Copy
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = make_model(running.files / "base")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    await running.accepted("AddModel", name="tiny", path=str(base))
    await running.accepted("AddDataset", name="questions", path=str(copied(questions)))
    job_id = await started(
        running, method="full", adapter_name="whole", max_steps=60, save_steps=10, eval_steps=30, learning_rate=5e-3
    )
    first = await trainer.work(stopped_after(10))
    assert not first.result_file.with_name("model").exists()
    await trainer.work()

    job, made = await shown(running, job_id), await running.client.query("GetModel", id="whole")
    assert (job["state"], job["method"], job["adapter_id"], job["model_id"]) == ("succeeded", "full", None, made["id"])
    resumed, recorded = job["attempts_made"][1]["resumed_from_step"], [c["step"] for c in job["checkpoints"]]
    assert 10 <= resumed < 60
    assert resumed in recorded
    assert (made["type"], made["fine_tuning_job_id"], made["dtype"]) == ("local", job_id, "bfloat16")
    assert made["location"].startswith(f"artifact:jobs/{job_id}/attempt-2/")
    assert made["has_chat_template"]
    folder = trainer.home.resolve(made["location"])
    assert not [path.name for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    loaded, before = AutoModelForCausalLM.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(base)
    changed = [
        name
        for (name, new), old in zip(loaded.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(new, old)
    ]
    assert any("norm" in name for name in changed), "all weights are trained, not only linear layers"
    assert not (await running.client.query("ListAdapters"))["items"]

    (taken,) = [await running.refused("StartFineTuningJob", base_model_id="tiny", dataset_id="questions",
                                      method="full", adapter_name="whole")]  # fmt: skip
    assert taken.code == Code.DUPLICATE_NAME
    again = await started(running, base_model_id="whole", adapter_name="on-top", max_steps=2)
    await trainer.work()
    assert (await shown(running, again))["state"] == "succeeded"
    loss = await evaluated(running, trainer, base_model_id="whole", dataset_id="questions")
    assert loss == pytest.approx(job["metrics"]["eval_loss"], rel=0.05)
    assert loss < 0.7 * job["metrics"]["eval_loss_before"]


@on_one_database
async def test_a_training_that_gets_no_better_stops_early_and_keeps_its_best_weights(
    running: Running, trainer: Trainer, tiny: tuple[str, str]
) -> None:
    """At such a rate the first evaluations are the best ever."""
    job_id = await started(
        running, max_steps=400, eval_steps=2, save_steps=3, learning_rate=0.3, save_total_limit=1, adapter_name="kept",
        early_stopping_patience=3, load_best_model_at_end=True, lora={"r": 4},
    )  # fmt: skip
    folder = await trainer.work()
    job = await shown(running, job_id)
    losses = curve(folder, "eval_loss")
    best = min((step for step in losses if step), key=lambda step: losses[step])
    assert (job["state"], job["cause"], job["step"]) == ("succeeded", "early_stopping", max(losses))
    assert job["step"] < 400
    assert f"the best was {losses[best]:.4f} at step {best}" in job["message"]
    assert (job["metrics"]["best_step"], job["metrics"]["eval_loss"]) == (best, losses[best])
    assert [c["step"] for c in job["checkpoints"] if c["best"]][-1] == best
    left = {manifest.step for _, manifest in checkpoints.whole(folder.checkpoints)}
    assert left == {best, job["step"]}
    kept = trainer.home.resolve(job["result_uri"]) / "adapter_model.safetensors"
    assert kept.read_bytes() == (folder.checkpoints / f"step-{best:08d}" / kept.name).read_bytes()


@on_one_database
async def test_a_failure_says_what_to_change(running: Running, trainer: Trainer, tiny: tuple[str, str]) -> None:
    """A disk that would be full fails at once, with numbers; a loss that is no number where it comes about."""
    job_id = await started(running, max_steps=2**31 - 1, save_steps=1, save_total_limit=2**31 - 1)
    await trainer.work()
    (failed,) = running.events("AttemptFailed", job_id)
    assert (failed.data["cause"], failed.data["suggestion"]) == ("disk_full", {"save_total_limit": 1})
    assert "GiB of disk" in failed.data["message"]
    assert "are free" in failed.data["message"]
    job = await shown(running, job_id)
    assert (job["state"], job["suggestion"]) == ("failed", {"save_total_limit": 1})
    assert job["attempts_made"][0]["running_at"] is None

    job_id = await started(
        running, max_steps=40, training_arguments={"max_grad_norm": 0.0, "warmup_ratio": 0.0}, learning_rate=1e30
    )
    await trainer.work()
    job = await shown(running, job_id)
    assert (job["state"], job["cause"], job["suggestion"]) == ("failed", "nan_loss", {"learning_rate": 2e-4})
    assert running.events("JobFailed", job_id)[0].data["suggestion"] == {"learning_rate": 2e-4}


async def test_samples_show_the_base_model_s_answer_beside_each_evaluation_s(
    running: Running, trainer: Trainer, tiny: tuple[str, str], telemetry_engine: Engine
) -> None:
    job_id = await started(running, adapter_name="sampled", max_steps=4, eval_steps=2, eval_samples=2)
    folder = await trainer.work()
    store = Store(telemetry_engine)
    store.create()
    lines = b",".join(line for line in folder.spool.read_bytes().splitlines() if b'"sample"' in line)
    body = b'{"v":1,"job_id":"%s","attempt":1,"records":[%s]}' % (job_id.encode(), lines)
    rows, trouble = parse(body)
    assert trouble is None
    store.write(rows)
    store.write(rows)
    found = await running.client.query("GetSamples", job_id="sampled")
    assert (found["job_id"], found["steps"], found["ended"]) == (job_id, [2, 4], True)
    assert len(found["rows"]) == 2
    for row in found["rows"]:
        assert row["reference"].startswith("the colour is ")
        assert row["prompt"].startswith("what colour")
        assert isinstance(row["base"], str)
        assert [answer["step"] for answer in row["answers"]] == [2, 4]
    later = await running.client.query("GetSamples", job_id="sampled", since_step=2)
    assert (later["steps"], later["rows"][0]["base"]) == ([4], found["rows"][0]["base"])


@pytest.fixture
def telemetry_engine(registry_settings: Settings) -> Iterator[Engine]:
    engine = database.open_engine(registry_settings.telemetry_url)
    yield engine
    engine.dispose()


def stopped_after(step: int) -> Callable[[Attempt], Awaitable[None]]:
    """Stop the child as the signal does once it has done a step. Nobody asked the registry, so the job waits again."""

    async def stop(child: Attempt) -> None:
        async def reached() -> bool:
            lines = (child.folder / "telemetry.jsonl").read_bytes().splitlines()
            return any(f'"k":"metric","n":{n},' in line.decode() and f'"step":{step},' in line.decode()
                       for n, line in enumerate(lines, 1))  # fmt: skip

        await eventually(reached, f"step {step}", deadline=60)
        child.stop()

    return stop


async def evaluated(running: Running, trainer: Trainer, **combination: Any) -> float:
    """The loss of one evaluation, done in this process."""
    from tunebus.services.evaluator.evaluation import evaluate

    job_id = await running.accepted("StartEvaluationJob", combinations=[combination])
    assignment = (await running.claim("evaluator-under-test", kind="evaluation_job")).assignment
    assert assignment is not None
    folder = attempt_folder(trainer.home, assignment)
    folder.make()
    kind = WorkerKind("evaluator", "evaluation_job", ())
    job = prepare(kind, assignment, trainer.home, running.settings, folder)
    code = await asyncio.to_thread(carry_out, Attempt(job, Spool(folder.spool)), evaluate)
    assert code == 0, folder.result_file.read_text()
    assert job_id
    return float(json.loads(folder.result_file.read_text())["metrics"]["loss"])


def curve(folder: AttemptFolder, name: str) -> dict[int, float]:
    return {r["step"]: r["values"][name] for r in telemetry(folder) if r["k"] == "metric" and name in r["values"]}


def telemetry(folder: AttemptFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.spool.read_bytes().splitlines()]
