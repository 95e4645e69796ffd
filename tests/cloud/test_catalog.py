"""The console's rules for components and versions."""

import pytest

from sim.cloud.catalog import FILE_FORMATS, Component, File, Model, Version
from sim.errors import FotasimError


@pytest.mark.parametrize("ending", FILE_FORMATS)
def test_seven_formats(ending):
    """Each of the seven formats is accepted."""
    component = Component("fw", "firmware")
    component.add(Version("1.1", (File(f"a.{ending}", 100),)))
    assert "1.1" in component.versions


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (Version("1.1", ()), "1 to 5 files"),
        (Version("1.1", tuple(File("a.bin", 1, str(i)) for i in range(6))), "1 to 5 files"),
        (Version("1.1", (File("a.exe", 1),)), "must end in one of"),
        (Version("1.1", (File("a.bin", 100_000_001),)), "100 MB"),
        (Version("1.1", (File("a.bin", 1), File("b.bin", 1))), "same source"),
        (Version("v" * 65, (File("a.bin", 1),)), "64 characters"),
        (Version("1.1", (File("a.bin", 1, "1.1"),)), "delta from itself"),
        (Version("1.0", (File("a.bin", 1),)), "exists already"),
    ],
)
def test_rules_of_a_version(version, words):
    """What the console refuses is refused, with the reason."""
    component = Component("fw", "firmware", {"1.0": Version("1.0", (File("a.bin", 1),))})
    with pytest.raises(FotasimError, match=words):
        component.add(version)


def test_the_right_file_for_a_module():
    """Its delta if there is one, else the full package, else nothing."""
    full, delta = File("full.bin", 9), File("delta.bin", 1, "1.0")
    assert Version("1.1", (full, delta)).file_for("1.0") == delta
    assert Version("1.1", (full, delta)).file_for("0.9") == full
    assert Version("1.1", (delta,)).file_for("0.9") is None


def test_components_of_a_model():
    """Unique names, known kinds, bounded length."""
    model = Model("tracker")
    model.add(Component("fw", "firmware"))
    for component, words in (
        (Component("fw", "mcu"), "exists"),
        (Component("x", "os"), "kind"),
        (Component("", "mcu"), "32"),
    ):
        with pytest.raises(FotasimError, match=words):
            model.add(component)
