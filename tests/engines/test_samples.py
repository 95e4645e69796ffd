"""Events of a sample of modules, and tables that are longer than memory is wide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sim import block_writer
from sim.engines.recording.event_sample import size_of
from sim.engines.run import campaign_records
from sim.errors import FotasimError
from sim.prefetch import prefetch
from sim.records import WholeTable, write_blocks
from tests.conformance.test_engines import same_table
from tests.support import scenario

ASKED = ("fleet.size=90", "horizon=3d")


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_sample_is_a_part_of_all_events(engine):
    """Ten modules of ninety: every event of theirs, none of the others', and the run itself is the same."""
    everything = campaign_records(scenario(*ASKED), 0, engine=engine, events=True)
    ten = campaign_records(scenario(*ASKED), 0, engine=engine, events="10")
    chosen = set(ten.events["module"])
    assert 8 <= len(chosen) <= 10  # one that never says a word has no events
    part = everything.events[everything.events["module"].isin(chosen)].reset_index(drop=True)
    assert part.astype(str).equals(ten.events.astype(str))
    pd.testing.assert_frame_equal(everything.modules, ten.modules)


def test_engines_draw_the_same_sample_and_a_larger_one_holds_a_smaller():
    """By key: a tenth and a third of the fleet."""
    tenth, third = (campaign_records(scenario(*ASKED), 0, engine="compiled", events=s).events for s in ("10%", "30"))
    same_table("events", campaign_records(scenario(*ASKED), 0, engine="simpy", events="10%").events, tenth)
    assert set(tenth["module"]) < set(third["module"])


@pytest.mark.parametrize("asked,size", [("all", 200), ("7", 7), ("1%", 2), ("0.1%", 1), ("1000", 200)])
def test_sizes_of_samples(asked, size):
    """Numbers and shares, at least one module, at most all."""
    assert size_of(asked, 200) == size


@pytest.mark.parametrize("asked", ["", "0", "-3", "1.5", "many", "nan", "0%", "inf"])
def test_a_sample_that_is_none_is_refused(asked):
    """The message shows what would be right."""
    with pytest.raises(FotasimError, match="a number of modules such as 1000, or a share such as 1%"):
        size_of(asked, 200)


def test_events_are_the_same_when_they_are_laid_aside(monkeypatch):
    """Small blocks in a file change nothing: the order and the words are those of the engine that keeps all."""
    from sim.engines.compiled import compiled_engine

    monkeypatch.setattr(compiled_engine, "EVENTS_AT_ONCE", 40)
    monkeypatch.setattr(block_writer, "ROWS_IN_MEMORY", 100)
    found = campaign_records(scenario(*ASKED), 0, engine="compiled", events=True)
    assert found.happened._folder is not None and len(found.events) == len(found.happened) > 1000
    same_table("events", campaign_records(scenario(*ASKED), 0, engine="simpy", events=True).events, found.events)


def test_blocks_of_a_file_are_the_table(tmp_path):
    """More categories in a later block than in the first, numbers, gaps: read back as written."""
    names = pd.Categorical([f"n{i % 300 if i > 50 else 0}" for i in range(1000)])
    table = pd.DataFrame({"name": names, "time_s": np.where(np.arange(1000) % 7, np.arange(1000) / 3, np.nan)})
    kept = block_writer.BlockTable()
    for start in range(0, 1000, 100):
        part = table.iloc[start : start + 100].reset_index(drop=True)
        kept.add(part.assign(name=part["name"].cat.remove_unused_categories()))
    for number, written in enumerate((kept, WholeTable(table))):
        write_blocks(tmp_path / f"{number}.parquet", written)
        back = pd.read_parquet(tmp_path / f"{number}.parquet")
        assert back["name"].astype(str).tolist() == list(names)
        np.testing.assert_array_equal(back["time_s"], table["time_s"])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_work_ahead_keeps_its_order(workers):
    """Whatever the number of threads; a failure comes out where its result would."""
    assert list(prefetch([lambda i=i: i * i for i in range(20)], workers)) == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(prefetch([lambda: 1, lambda: 1 // 0, lambda: 2], workers))


def test_a_wrong_sample_is_wrong_use(tmp_path):
    """Exit status 2, before anything runs."""
    from typer.testing import CliRunner

    from sim.cli import app

    asked = ["run", "scenarios/quickstart.yaml", "--events-of", "many", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
