"""The verdict function, case by case, each with the sentence that every format shows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import gates
from sim.exit_status import ExitStatus
from sim.gates import Figure, State
from sim.report.model.verdict_words import tell
from sim.stats.intervals import share_interval
from sim.stats.verdict import Cut, Evidence, Part, Sampled, SelfStop, Verdict, decide

DAY = 86400.0
PAUSED = SelfStop("paused", "canary: 6.25 % failed, limit 5 %: pause", 5 * 3600.0, 64)
ABORTED = SelfStop("canceled", "criterion 1: 10 % failed of notified, limit 5 % from 10 on: cancel", 3600.0, 112)
BACK = SelfStop("rolled_back", "criterion 1: 8 % failed of executed, limit 5 % from 10 on: rollback", 7200.0, 90)
WAITING = SelfStop("paused", "canary: 90 % succeeded or all finished, soak 1 d", 2 * DAY, 100, planned=True)


def share(text, hits, total, needed=True, replications=1):
    """A gate on a share of so many."""
    low, high = share_interval(hits, total)
    figure = Figure(hits / total, low, high, total, needed) if total else Figure(None, total=0, needed=needed)
    return gates.judge(gates.parse_expression(text), figure, replications=replications)


def number(text, value, low=None, high=None, **more):
    """A gate on a time, a load or a cost."""
    return gates.judge(gates.parse_expression(text), Figure(value, low, high, **more))


SUCCESS, BRICKED = "success_rate >= 0.9", "bricked <= 1e-3"
GOOD, BAD, CLOSE = share(SUCCESS, 9500, 10_000), share(SUCCESS, 8000, 10_000), share(SUCCESS, 91, 100)
FINE, MANY, FEW = share(BRICKED, 0, 10_000), share(BRICKED, 50, 10_000), share(BRICKED, 0, 112)
EDGE = share(BRICKED, 8, 10_000)
SOON, LATE, NEVER = (
    number("time_to_95 <= 7d", 3 * DAY, 2.9 * DAY, 3.1 * DAY), number("time_to_95 <= 7d", 8 * DAY, 7.9 * DAY, 8.1 * DAY),
    number("time_to_95 <= 7d", None, at_least=14 * DAY),
)  # fmt: skip
NOBODY, UNNEEDED = share(BRICKED, 0, 0), share(SUCCESS, 0, 0, needed=False)
LOAD, OVERLOAD = number("peak_downloads <= 500", 120.0), number("peak_downloads <= 500", 900.0)
AT_LIMIT = number("duration_p95 <= 7d", 7 * DAY, 6 * DAY, 8 * DAY)


def evidence(*judged, **more):
    """What is known of a run of 10,000 modules, all touched."""
    return Evidence(**{"gates": judged, "targets": 10_000, "touched": 10_000, **more})


CASES = [
    # Go: every gate beyond doubt
    (evidence(GOOD), "go", "Ship it: every gate is met beyond doubt."),
    (evidence(GOOD, FINE), "go", "The tightest: Success is 95.00 % (94.56 % to 95.41 %) of 10,000 modules that needed the upgrade"),
    (evidence(GOOD, FINE, SOON, LOAD), "go", "Ship it"),
    (evidence(LOAD), "go", "Peak downloads is 120; limit: at most 500."),
    (evidence(SOON), "go", "Time until 95 % of the targets is 3 d (2.9 d to 3.1 d); limit: at most 7 d."),
    (evidence(share("success_rate upper >= 0.9", 92, 100)), "go", "1 of 1 gate only by the better end of the interval"),
    (evidence(share("success_rate upper >= 0.9", 99, 100)), "go", "Ship it"),
    (evidence(share("success_rate upper >= 0.9", 9900, 10_000)), "go", "Ship it"),
    (evidence(share("success_rate upper >= 0.9", 89, 100)), "go", "The gate asks for the upper end of the interval alone; the other end is beyond the limit: Success is 89.00 %"),
    (evidence(share("bricked lower <= 1e-3", 1, 112)), "go", "Every gate is met, not beyond doubt: 1 of 1 gate only by the better end of the interval."),
    # Go, and what it does not say
    (evidence(SOON, unjudged=[Part("first_installations_failed", 1500, 10_000)]), "go", "Every gate is met, not beyond doubt: no gate judges that 1,500 of 10,000 first installations failed (15.00 %)."),
    (evidence(SOON, unjudged=[Part("bricked", 3, 10_000)], replications=5), "go", "3 of 10,000 installations in 5 campaigns bricked (0.03 %)"),
    (evidence(FINE, unjudged=[Part("untouched", 4000, 10_000), Part("touched_failed", 9, 6000)]), "go", "never confirmed the offer (40.00 %), among others."),
    (evidence(SOON, fail_later=Part("fail_later", 2000, 9500)), "go", "Every gate is met, not beyond doubt: 2,000 of 9,500 upgraded modules will fail after the horizon (21.05 %)."),
    (evidence(GOOD, fail_later=Part("fail_later", 20, 9500)), "go", "20 of 9,500 upgraded modules will fail after the horizon (0.211 %)"),
    # Marginal: what shows after the horizon would be too much
    (evidence(GOOD, fail_later=Part("fail_later", 2000, 9500)), "marginal", "Not decided: 2,000 of 9,500 upgraded modules will fail after the horizon (21.05 %), where no gate sees them."),
    (evidence(share("failed <= 1 %", 10, 10_000), fail_later=Part("fail_later", 100, 9500)), "marginal", "With these among its cases this gate would not be met: Failed is 0.1 %"),
    (evidence(FINE, fail_later=Part("fail_later", 100, 9500)), "marginal", "With these among its cases this gate would not be met: Bricked"),
    (evidence(BAD, fail_later=Part("fail_later", 100, 9500)), "no-go", "Do not ship"),
    # Marginal: few were touched, and no gate asks how many
    (evidence(FINE, touched=4999), "marginal", "Not decided: only 4,999 of 10,000 targets confirmed the offer (49.99 %), and no gate asks how many."),
    (evidence(FINE, touched=5000), "go", "Ship it"),
    # Marginal: most were touched, few are done, and no gate asks how many came to their end
    (evidence(FINE, under_way=10_000), "marginal", "Not decided: only 0 of 10,000 targets confirmed the offer and are done (0.00 %), and no gate asks how many came to their end."),
    (evidence(FINE, touched=9000, under_way=4001), "marginal", "only 4,999 of 10,000 targets confirmed the offer and are done (49.99 %)"),
    (evidence(FINE, touched=9000, under_way=4000), "go", "Ship it"),
    (evidence(share("touched >= 0.9", 9500, 10_000), touched=9500, under_way=9000), "marginal", "only 500 of 10,000 targets"),
    (evidence(share("touched >= 0.1", 2000, 10_000), touched=2000, under_way=1000), "go", "Ship it"),
    (evidence(share("touched >= 0.1", 2000, 10_000), touched=2000, under_way=1001), "marginal", "only 999 of 10,000 targets"),
    (evidence(GOOD, under_way=9000), "go", "Ship it"),
    (evidence(share("success_of_touched >= 0.3", 4000, 10_000), under_way=6000), "go", "Ship it"),
    (evidence(SOON, under_way=9000), "go", "Ship it"),
    (evidence(MANY, under_way=10_000), "no-go", "Do not ship"),
    (evidence(FINE, unjudged=[Part("under_way", 3000, 10_000)], under_way=3000), "go", "no gate judges that 3,000 of 10,000 touched modules were still under way at the end (30.00 %)."),
    (evidence(GOOD, FINE, touched=4999), "go", "Ship it"),
    (evidence(FINE, touched=2000, cuts=[Cut("terminated", 3600.0)]), "marginal", "The operator ended the plan 1 h after activation. The gates speak for these modules alone"),
    (evidence(FINE, touched=2000, cuts=[Cut("paused", 3600.0)]), "marginal", "The operator paused the plan 1 h after activation and did not resume it."),
    (evidence(FINE, touched=2000, cuts=[Cut("ended", DAY)] * 3, replications=5), "marginal", "The plan reached its end 1 d after activation (so in 3 of 5 campaigns)."),
    (evidence(MANY, touched=2000, cuts=[Cut("terminated", 3600.0)]), "no-go", "Do not ship"),
    # Marginal: the plan waits for its operator, as its strategy says
    (evidence(GOOD, stops=[WAITING]), "marginal", "Not decided: the plan paused between groups, as its strategy says, and nobody resumed it."),
    (evidence(BAD, stops=[WAITING]), "marginal", "Success is 80.00 %"),
    (evidence(BAD, MANY, stops=[WAITING]), "no-go", "Do not ship: 2 of 2 gates are not met."),
    (evidence(FEW, stops=[WAITING]), "invalid", "too few modules"),
    (evidence(GOOD, stops=[WAITING, PAUSED], replications=2), "stopped", "In 1 of 2 campaigns it stopped itself; the first: Paused 5 h"),
    (evidence(GOOD, sampled=[Sampled("success_rate", 1.0, 64)]), "go", "Ship it"),
    (evidence(GOOD, sampled=[Sampled("success_rate", 0.95, 64)]), "go", "Ship it"),
    (evidence(GOOD, sampled=[Sampled("bricked", 0.1, 64)]), "go", "Ship it"),
    (evidence(GOOD, counts_agree=True), "go", "Ship it"),
    (evidence(FINE, replications=20), "go", "Ship it"),
    (evidence(replace(FINE, by="hardware", of="A")), "go", "Bricked of hardware revision A is 0.00 %"),
    # No go: one gate is missed for certain
    (evidence(BAD), "no-go", "Do not ship: 1 of 1 gate is not met."),
    (evidence(GOOD, MANY), "no-go", "Bricked is 0.5 % (0.379 % to 0.659 %) of 10,000 modules whose installation has ended; limit: at most 0.1 %."),
    (evidence(BAD, MANY), "no-go", "Do not ship: 2 of 2 gates are not met."),
    (evidence(BAD, FEW), "no-go", "Do not ship: 1 of 2 gates is not met."),
    (evidence(BAD, CLOSE, EDGE), "no-go", "Do not ship: 1 of 2 gates is not met."),
    (evidence(LATE), "no-go", "Time until 95 % of the targets is 8 d"),
    (evidence(NEVER), "no-go", "Time until 95 % of the targets: not reached while the run was watched; limit: at most 7 d."),
    (evidence(OVERLOAD), "no-go", "Peak downloads is 900; limit: at most 500."),
    (evidence(share(BRICKED, 5, 112)), "no-go", "Bricked is 4.46 % (1.47 % to 10.11 %) of 112 modules whose installation has ended"),
    (evidence(share("success_of_finished >= 0.9", 0, 200)), "no-go", "Success of finished, as the cloud sees it is 0.00 %"),
    (evidence(share("first_attempt_success >= 0.95", 700, 1000)), "no-go", "Success at the first attempt is 70.00 %"),
    (evidence(share("rolled_back <= 1 %", 150, 1000)), "no-go", "Rolled back by the module is 15.00 %"),
    (evidence(share("incompatible <= 5 %", 25, 100)), "no-go", "Incompatible is 25.00 %"),
    (evidence(FINE, replace(MANY, by="hardware", of="C")), "no-go", "Bricked of hardware revision C is 0.5 %"),
    (evidence(BAD, sampled=[Sampled("success_rate", 0.4, 64)]), "no-go", "Do not ship"),
    (evidence(BAD, stops=[PAUSED], replications=20), "no-go", "Do not ship: 1 of 1 gate is not met."),
    # Stopped: by itself, whatever the gates say
    (evidence(stops=[PAUSED]), "stopped", "Do not ship: the plan stopped itself (paused)."),
    (evidence(GOOD, FINE, stops=[PAUSED]), "stopped", "Paused 5 h after activation (canary: 6.25 % failed, limit 5 %: pause); 64 modules had begun to install the image."),
    (evidence(GOOD, stops=[ABORTED]), "stopped", "Do not ship: the plan stopped itself (canceled)."),
    (evidence(GOOD, stops=[BACK]), "stopped", "Do not ship: the plan stopped itself (rolled back)."),
    (evidence(GOOD, stops=[WAITING]), "marginal", "Paused 2 d after activation (canary: 90 % succeeded or all finished, soak 1 d)"),
    (evidence(BAD, stops=[ABORTED]), "stopped", "Success is 80.00 %"),
    (evidence(FEW, stops=[ABORTED]), "stopped", "112 modules had begun to install the image."),
    (evidence(NOBODY, stops=[ABORTED]), "stopped", "Do not ship"),
    (evidence(UNNEEDED, stops=[ABORTED], targets=0), "stopped", "Do not ship"),
    (evidence(GOOD, stops=[PAUSED] * 20, replications=20), "stopped", "In 20 of 20 campaigns it stopped itself; the first: Paused"),
    (evidence(GOOD, stops=[PAUSED] * 10, replications=20), "stopped", "In 10 of 20 campaigns"),
    # Marginal: an interval across a limit, the inputs, or a stop in some campaigns
    (evidence(CLOSE), "marginal", "Success is 91.00 % (83.60 % to 95.80 %) of 100 modules that needed the upgrade; limit: at least 90.00 %."),
    (evidence(CLOSE), "marginal", "Not decided: an interval reaches past its limit; about 55 replications (--replications 55) would settle it."),
    (evidence(EDGE), "marginal", "Bricked is 0.08 % (0.0345 % to 0.158 %)"),
    (evidence(GOOD, EDGE), "marginal", "Not decided: an interval reaches past its limit; about 16 replications"),
    (evidence(CLOSE, EDGE), "marginal", "about 55 replications"),
    (evidence(AT_LIMIT), "marginal", "a figure lies so close to its limit that no number of replications is sure to tell."),
    (evidence(GOOD, sampled=[Sampled("success_rate", 0.36, 64)]), "marginal", "The gate on success is met in 36.00 % of the 64 worlds"),
    (evidence(GOOD, sampled=[Sampled("success_rate", 0.36, 64)]), "marginal", "Not decided: the answer depends on inputs that are not known well enough."),
    (evidence(FINE, sampled=[Sampled("bricked_of_installed", 0.36, 64)]), "marginal", "met in 36.00 % of the 64 worlds"),
    (evidence(share("bricked_of_installed <= 1e-3", 0, 10_000), sampled=[Sampled("bricked", 0.36, 64)]), "marginal", "met in 36.00 %"),
    (evidence(GOOD, sampled=[Sampled("success_rate", 0.94, 64)]), "marginal", "met in 94.00 %"),
    (evidence(GOOD, sampled=[Sampled("success_rate", 0.0, 64)]), "marginal", "met in 0.00 %"),
    (evidence(CLOSE, sampled=[Sampled("success_rate", 0.36, 64)]), "marginal", "about 55 replications"),
    (evidence(GOOD, stops=[PAUSED], replications=20), "marginal", "Not decided: the plan stops itself in some campaigns."),
    (evidence(GOOD, stops=[PAUSED], replications=20), "marginal", "In 1 of 20 campaigns it stopped itself; the first: Paused"),
    (evidence(stops=[PAUSED] * 9, replications=20), "marginal", "In 9 of 20 campaigns"),
    # Invalid: partial, contradicted, nobody needed it, too few
    (evidence(GOOD, complete=False), "invalid", "The run was interrupted: its figures end where it stopped and decide nothing."),
    (evidence(complete=False), "invalid", "The run was interrupted"),
    (evidence(BAD, complete=False, stops=[PAUSED]), "invalid", "The run was interrupted"),
    (evidence(GOOD, counts_agree=False), "invalid", "Void: client and cloud counted different numbers."),
    (evidence(UNNEEDED, targets=0, touched=0), "invalid", "Nothing to judge: every module runs the target version already."),
    (evidence(FEW), "invalid", "No verdict: too few modules to judge a gate."),
    (evidence(FEW), "invalid", "To show that takes 3,688 at least: about 33 replications."),
    (evidence(GOOD, FEW), "invalid", "Bricked is 0.00 % (0.00 % to 3.24 %) of 112 modules whose installation has ended; limit: at most 0.1 %."),
    (evidence(CLOSE, FEW), "invalid", "too few modules"),
    (evidence(NOBODY), "invalid", "Bricked: nothing to judge it on, there were no modules whose installation has ended; limit: at most 0.1 %."),
    (evidence(LOAD, touched=0), "invalid", "Nothing to judge: no module confirmed the offer."),
    (evidence(share("bricked_of_targets <= 1 %", 0, 10_000), touched=0), "invalid", "no module confirmed the offer"),
    (evidence(BAD, touched=0), "no-go", "Do not ship: 1 of 1 gate is not met."),
    (evidence(share("success_rate >= 0.99", 10, 10)), "invalid", "To show that takes 368 at least: about 37 replications."),
    (evidence(FINE, replace(FEW, by="hardware", of="B")), "invalid", "Bricked of hardware revision B is 0.00 %"),
    (evidence(number("time_to_95 <= 7d", None, at_least=3 * DAY)), "invalid", "Time until 95 % of the targets: not known; limit: at most 7 d."),
    (evidence(number("duration_p95 <= 7d", None)), "invalid", "Time of 95 % of the successes: not known"),
    (evidence(share(SUCCESS, 90, 100)), "invalid", "Success is 90.00 % (82.56 % to 94.48 %) of 100 modules that needed the upgrade; limit: at least 90.00 %. To show that takes 3,458 at least: about 35 replications."),
    (evidence(share(SUCCESS, 9000, 10_000)), "marginal", "a figure lies so close to its limit that no number of replications is sure to tell."),
    (evidence(number("duration_p95 <= 7d", 2 * DAY, 1 * DAY, None, total=48)), "invalid", "Time of 95 % of the successes is 2 d over 48 modules that were upgraded; limit: at most 7 d. To show that takes 72 at least: about 2 replications."),
    (evidence(number("duration_p50 <= 7d", 2 * DAY, total=5)), "invalid", "To show that takes 6 at least"),
    (evidence(number("time_to_90 <= 7d", 2 * DAY, 1 * DAY, None, total=100)), "marginal", "the interval of a time has no end while the run was watched"),
    # nothing was to be judged
    (evidence(), "none", "Done, and nothing was judged: the scenario sets no gates."),
    (evidence(targets=0, touched=0), "none", "Done, and nothing was judged"),
    (evidence(sampled=[Sampled("bricked", 0.1, 64)]), "none", "Done, and nothing was judged"),
]  # fmt: skip


def test_there_are_enough_cases():
    """Sixty at least, and each verdict among them."""
    assert len(CASES) >= 60
    assert {verdict for _, verdict, _ in CASES} == set(Verdict)


@pytest.mark.parametrize(("known", "verdict", "sentence"), CASES)
def test_verdict_and_sentence(known, verdict, sentence):
    """The verdict, and what a reader is told."""
    decision = decide(known)
    assert decision.verdict == verdict
    told = tell(decision)
    assert sentence in " ".join([told.headline, *told.reasons])


@pytest.mark.parametrize(
    ("known", "statuses"),
    [
        (evidence(GOOD), (0, 0, 0)), (evidence(), (0, 0, 0)), (evidence(BAD), (1, 1, 1)),
        (evidence(GOOD, stops=[PAUSED]), (1, 1, 1)), (evidence(stops=[PAUSED]), (1, 1, 1)), (evidence(CLOSE), (4, 0, 1)),
        (evidence(GOOD, stops=[PAUSED], replications=20), (4, 4, 1)),
        (evidence(FEW), (4, 4, 4)), (evidence(NOBODY, touched=0), (4, 4, 4)),
        (evidence(GOOD, stops=[WAITING]), (4, 4, 1)), (evidence(FINE, touched=2000), (4, 4, 1)),
        (evidence(CLOSE, stops=[WAITING]), (4, 4, 1)), (evidence(GOOD, fail_later=Part("fail_later", 2000, 9500)), (4, 4, 1)),
        (evidence(GOOD, sampled=[Sampled("success_rate", 0.36, 64)]), (4, 0, 1)),
        (evidence(UNNEEDED, targets=0, touched=0), (4, 4, 4)), (evidence(GOOD, complete=False), (130, 130, 130)),
        (evidence(GOOD, counts_agree=False), (3, 3, 3)),
    ],
)  # fmt: skip
def test_exit_statuses(known, statuses):
    """As it is, with --marginal-as go and no-go: only Marginal is decided by it, and into a yes only where chance is the doubt."""
    decision = decide(known)
    assert tuple(int(decision.exit_status(way)) for way in ("", "go", "no-go")) == statuses


JUDGED = st.sampled_from([GOOD, BAD, CLOSE, FINE, MANY, FEW, EDGE, SOON, LATE, NEVER, NOBODY, UNNEEDED, LOAD, OVERLOAD])


@given(
    st.lists(JUDGED, max_size=4), st.integers(1, 20), st.lists(st.sampled_from([PAUSED, WAITING, BACK]), min_size=1, max_size=20),
    st.booleans(), st.sampled_from(["", "go", "no-go"]),
)  # fmt: skip
def test_a_plan_that_stopped_itself_is_never_a_go(judged, replications, stops, complete, marginal_as):
    """In one campaign or in all, by itself or as its strategy says, with any gates, whatever a pipeline makes of doubt."""
    known = evidence(
        *judged, replications=max(replications, len(stops)), stops=stops, complete=complete
    )  # fmt: skip
    decision = decide(known)
    assert decision.verdict not in (Verdict.GO, Verdict.NONE)
    assert decision.exit_status() != ExitStatus.GO
    assert decision.exit_status(marginal_as) != ExitStatus.GO


@given(st.sampled_from([1e-4, 1e-3, 0.01, 0.05]), st.floats(0.0, 1.0), st.integers(1, 20_000), st.integers(1, 20_000))
def test_less_exposure_never_meets_a_gate_on_harm(limit, harm, touched, fewer):
    """The same share of harm among fewer modules: what is not met with many is not met with few."""
    few, many = sorted((touched, fewer))
    hits = round(harm * few)
    if hits * many % few:  # the same share cannot be had
        many = few * max(1, many // few)
    with_few = share(f"bricked <= {limit}", hits, few)
    with_many = share(f"bricked <= {limit}", hits * many // few, many)
    if with_few.state == State.MET:
        assert with_many.state == State.MET


@given(
    st.lists(JUDGED, min_size=1, max_size=4),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.sampled_from([0, 30, 3000]),
)
def test_less_reach_is_never_more_of_a_go(judged, touched, fewer, later):
    """The same gates over fewer touched targets, or with failures to come, are no better verdict."""
    part = Part("fail_later", later, 9500) if later else None
    less, more = sorted((touched, fewer))
    if decide(evidence(*judged, touched=less, fail_later=part)).verdict == Verdict.GO:
        assert decide(evidence(*judged, touched=more, fail_later=part)).verdict == Verdict.GO
        assert decide(evidence(*judged, touched=more)).verdict == Verdict.GO


@given(
    st.lists(JUDGED, min_size=1, max_size=4),
    st.sampled_from(["bricked", "first_installations_failed", "touched_failed", "untouched", "under_way"]),
)
def test_beyond_doubt_is_said_of_no_harm_that_nobody_judged(judged, name):
    """Whatever the gates: with harm that none of them is about, the headline does not say beyond doubt."""
    headline = tell(decide(evidence(*judged, unjudged=[Part(name, 1, 10_000)]))).headline
    assert "Ship it" not in headline and (
        "Every gate is met, not beyond doubt" in headline or "beyond doubt" not in headline
    )


def test_bricks_that_no_gate_judges_come_first():
    """However many installations failed beside them: each is a visit in the field."""
    from sim.stats.judging import unjudged

    counted = {"bricked": 107, "installed_ended": 5592, "first_installations_failed": 119, "touched_failed": 107,
               "touched_ended": 5592, "targets": 6000, "touched": 5592}  # fmt: skip
    assert [part.name for part in unjudged([GOOD], counted)] == ["bricked", "first_installations_failed"]
    assert [part.name for part in unjudged([FINE], counted)] == ["untouched", "first_installations_failed"]
    assert unjudged([], counted) == []
