"""What a study needs: memory against what a trial really took, disk against written files."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers
from command_runs import Running, Storage, module, settings
from ray_here import a_home
from safetensors import safe_open

from xmrc.data.demo.corpus import DEMO_ENCODER
from xmrc.errors import ResourceError
from xmrc.learning.model import load_model, load_tokenizer
from xmrc.search import needs
from xmrc.search.needs import GIB, DiskNeeds, check_disk, disk_needs, study_needs
from xmrc.settings import load_study

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "search_spaces" / "demo.yaml"
ALONE = ("settings.base=null", "settings.start_from_base=false", "search.start_from=[]")
UNTAUGHT = (
    "settings.objective.distill=null",
    "space={training.learning_rate: {float: [1e-4, 1e-3]}}",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Bytes of the demo's reader as it lies on disk: its numbers, without names and shapes."""
    folder = tmp_path_factory.mktemp("reader")
    load_model(str(DEMO_ENCODER), seed=0).save_pretrained(folder)
    with safe_open(folder / "model.safetensors", "numpy") as file:
        return sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118


def test_disk_is_counted_in_readers(weights):
    study = load_study(DEMO, ["search.keep=2"])  # with a base, and teachers
    running = 3 + 2 * 3
    assert disk_needs(study, 4) == DiskNeeds(
        most=(2 + 1 + 4 * running) * weights, kept=(2 + 1 + 1) * weights
    )
    plain = load_study(
        DEMO, [*ALONE, *UNTAUGHT, "search.keep=1", "search.confirm={top: 2, seeds: 3}"]
    )
    assert disk_needs(plain, 1) == DiskNeeds(
        most=(1 + 2 * 3 + 3 + 2 * 2) * weights, kept=(1 + 1) * weights
    )


def test_a_base_that_was_given_is_the_readers_architecture(weights, tmp_path):
    load_model(str(DEMO_ENCODER), seed=0).save_pretrained(tmp_path)
    study = load_study(DEMO, [f"settings.base={{model: {tmp_path}}}", "search.keep=1"])
    assert disk_needs(study, 1).kept == 2 * weights, "nothing is trained before the trials"


def test_a_study_that_cannot_fit_is_refused(tmp_path):
    storage = tmp_path / "not" / "there" / "yet"
    free = check_disk(DiskNeeds(0, 0), storage, None)
    assert free > 0
    expected = rf"^storage: the study must fit, at most [\d.]+ GiB at a time, but {storage} has "
    with pytest.raises(ResourceError, match=expected):
        check_disk(DiskNeeds(free + 64 * GIB, 0), storage, None)


def test_what_a_resumed_study_has_written_is_not_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "disk_usage", lambda _: SimpleNamespace(free=1000))
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "model.safetensors").write_bytes(b"0" * 500)
    assert check_disk(DiskNeeds(1500, 0), tmp_path, tmp_path) == 1500
    with pytest.raises(ResourceError):
        check_disk(DiskNeeds(1500, 0), tmp_path, None)


def host(*overrides):
    return study_needs(load_study(DEMO, [*ALONE, *overrides])).host


def test_what_makes_a_trial_hungrier():
    plain = host(*UNTAUGHT)
    assert host(*UNTAUGHT, "settings.training.batch_size=64") > plain
    assert host(*UNTAUGHT, "space={training.batch_size: {choice: [8, 512]}}") > plain
    tight = host(*UNTAUGHT, "settings.training.max_tokens=128")
    assert 0.5 * GIB < tight < plain
    assert host(*UNTAUGHT, "resources.workers=2", "settings.training.batch_size=64") < host(
        *UNTAUGHT, "settings.training.batch_size=64"
    )
    teachers = host("space=null", "settings.objective.distill.coefficient=map")
    assert teachers > host("space=null", "settings.objective.distill.coefficient=0.0") == plain


def test_what_is_given_is_not_estimated():
    assert host("resources.memory_per_worker=1.5") == 1.5 * GIB
    assert host("resources.memory_per_worker=0") == 0


def test_the_largest_encoders_are_counted_without_their_weights(tmp_path):
    """XLM-R large: 2.1 GiB of weights, which no process here holds."""
    transformers.XLMRobertaConfig(
        vocab_size=250_002, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16,
        intermediate_size=4096, max_position_embeddings=514, type_vocab_size=1,
    ).save_pretrained(tmp_path)  # fmt: skip
    study = load_study(DEMO, [*ALONE, *UNTAUGHT, f"settings.encoder={tmp_path}", "search.keep=1"])
    reader = disk_needs(study, 1).kept / 2
    assert 558e6 * 4 < reader < 561e6 * 4, "as its card says: 560 million parameters"
    assert study_needs(study).host > 5 * reader


@pytest.mark.studies
@pytest.mark.timeout(900)
def test_a_trial_takes_about_as_much_memory_as_estimated(tmp_path):
    """A reader of 19 million parameters, and the most that its process ever held."""
    encoder = tmp_path / "encoder"
    transformers.BertForQuestionAnswering(
        transformers.BertConfig(
            vocab_size=60_000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
            intermediate_size=1024, max_position_embeddings=128,
        )
    ).save_pretrained(encoder)  # fmt: skip
    load_tokenizer(str(DEMO_ENCODER)).save_pretrained(encoder)
    with a_home() as home:
        overrides = (
            *ALONE, f"settings.encoder={encoder}", f"storage={home / 'runs'}", "space=null",
            "settings.objective.distill.coefficient=1.0", "settings.training.batch_size=32",
            "settings.training.epochs=1", "settings.data.limit=6", "search.trials=1",
            "settings.data.max_length=80",
        )  # fmt: skip
        command = Running(module("tune", "--space", str(DEMO), *settings(*overrides)), home)
        peaks: list[int] = []
        done = command.watch(lambda: peaks.extend(peaks_of_trials(home)))
        assert done.code == 0, done.err
        assert Storage(home / "runs").trials("demo")[0]["state"] == "finished"
        estimate = study_needs(load_study(DEMO, overrides)).host
    assert 0.8 < estimate / max(peaks) < 1.35, (estimate / GIB, max(peaks) / GIB)


def peaks_of_trials(home):
    """Bytes that each process of Ray's workers has held at most, so far."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() not in (process / "environ").read_bytes():
                continue
            words = (process / "cmdline").read_bytes()
            rows = dict(
                line.split(":", 1) for line in (process / "status").read_text().splitlines()
            )
        except OSError:  # it has just ended
            continue
        if words.startswith(b"ray::") and "VmHWM" in rows:
            yield int(rows["VmHWM"].split()[0]) * 1024
