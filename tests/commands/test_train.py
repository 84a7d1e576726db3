"""`python -m xmrc.train`: the settings once, here on two workers that share each batch."""

import pytest
from command_runs import Storage, module, run, settings
from ray_here import a_home

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.studies
def test_the_settings_are_trained_once_on_two_workers() -> None:
    with a_home() as home:
        storage = Storage(home / "runs")
        overrides = settings(
            f"storage={storage.root}",
            "resources.workers=2",
            "settings.base=null",
            "settings.start_from_base=false",
            "settings.data.limit=10",
            "settings.training.epochs=1",
        )
        words = module("train", "--space", "search_spaces/demo.yaml", *overrides)
        done = run(words, home)
        assert (done.code, done.err) == (0, "")
        (trial,) = storage.trials("demo-train")
        assert (trial["state"], trial["values"]) == ("finished", {})
        (child,) = storage.children("demo-train")
        assert child.data.params == {}
        assert child.data.metrics["gxlt_f1"] == trial["best"]
        assert storage.versions() == ["1"]
